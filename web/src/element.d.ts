/** <vqc-image>, a picture in a page; importing the module defines it. */
export declare class VqcImage extends HTMLElement {
  src: string;
  alt: string;
  sizes: string;
  loading: "lazy" | "eager";
  /** As it is laid out, in CSS pixels; setting it sets the attribute. */
  width: number;
  height: number;
  /** 0 is the fidelity decoder, 1 the perceptual one. */
  realism: number;
  readonly complete: boolean;
  readonly naturalWidth: number;
  readonly naturalHeight: number;
  readonly currentSrc: string;
  /** Settles when the picture is shown, with an error if it cannot be, or if another takes its place. */
  decode(): Promise<void>;
}

declare global {
  interface HTMLElementTagNameMap {
    "vqc-image": VqcImage;
  }
}
