/** <vqc-image>, a picture in a page; importing the module defines it. */
export declare class VqcImage extends HTMLElement {
  src: string;
  alt: string;
  /** 0 is the fidelity decoder, 1 the perceptual one. */
  realism: number;
  readonly complete: boolean;
  readonly naturalWidth: number;
  readonly naturalHeight: number;
  readonly currentSrc: string;
  /** Settles when the picture is shown, with an error if it cannot be. */
  decode(): Promise<void>;
}

declare global {
  interface HTMLElementTagNameMap {
    "vqc-image": VqcImage;
  }
}
