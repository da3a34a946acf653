"""How good is it: PSNR, BD-rate, MS-SSIM, SSIMULACRA2, LPIPS, DISTS."""
