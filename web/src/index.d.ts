/** Types of the public interface. */

export interface Limits {
  /** Upper bounds of what a header announces; 0 turns one off. */
  pixels: number;
  side: number;
  tiles: number;
  /** Bytes of each metadata block. */
  metadata: number;
}

export interface Settings {
  /** Address of vqcodec.wasm. */
  module?: string;
  /** Address of vqcodec-relaxed.wasm; without it, `module` is taken where that is given. */
  relaxed?: string;
  /** Which of both decodes, if not the one that is faster on this processor: pixels are the same. */
  vectors?: "plain" | "relaxed";
  /** Address of a folder that `vqcodec models export-decoder` wrote. */
  models?: string;
  /** Address of webp_dec.js, for files with a drawn layer. */
  webp?: string;
  /** Weights files that are there already. */
  weights?: Uint8Array[];
}

export interface Rectangle {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** A rectangle of the picture, or of the region asked for: red, green, blue and alpha. */
export interface Part extends Rectangle {
  data: Uint8ClampedArray<ArrayBuffer>;
}

export interface DecodeOptions {
  /** 0 (default) is the fidelity decoder, 1 the perceptual one; between, their weights are mixed. */
  realism?: number;
  /** Decode only this part, from the tiles that it needs: [x, y, width, height] or an object. */
  region?: Rectangle | [number, number, number, number] | null;
  /** 1: without layer 1, for which the first `previewBytes` are enough; "quick": a pixel for 32x32, at once. */
  preview?: 1 | 2 | "quick" | null;
  /** Accept a file that ends early, and decode what is there. */
  partial?: boolean;
  limits?: Partial<Limits>;
  signal?: AbortSignal;
  onProgress?: (done: number, count: number) => void;
  /** Called with each rectangle as it is decoded. */
  onPart?: (part: Part) => void;
}

export interface Info {
  width: number;
  height: number;
  gray: boolean;
  alpha: boolean;
  /** 0 to 252, and on the dial 0 to 100. */
  level: number;
  quality: number;
  tune: "eyes" | "psnr";
  version: string;
  /** 16 hexadecimal digits: the model that the file needs. */
  bitstreamId: string;
  needsModel: boolean;
  model: string | null;
  decoderId: string | null;
  tiles: number;
  /** Side of tiles in pixels, 0 for one. */
  tile: number;
  fileBytes: number;
  /** Bytes that a preview of layer 0 needs. */
  previewBytes: number;
  /** Bits of the whole file per pixel. */
  bpp: number;
  complete: boolean;
  drawnBytes: number;
  /** Name of the well-known colour profile, if the file has one by its number. */
  profile: string | null;
  /** Chunk types and their bytes. */
  metadata: Record<string, number>;
}

export interface Metadata {
  icc?: Uint8Array;
  exif?: Uint8Array;
  xmp?: Uint8Array;
}

export interface Picture extends Metadata {
  image: ImageData;
  info: Info;
}

export declare const DEFAULT_LIMITS: Readonly<Limits>;
export declare function configure(settings: Settings): void;
export declare function isVqc(data: Uint8Array): boolean;
export declare function probe(source: ArrayBuffer | ArrayBufferView, limits?: Partial<Limits>): Info;
export declare function decode(
  source: ArrayBuffer | ArrayBufferView,
  options?: DecodeOptions,
): Promise<ImageData>;
export declare function decodePicture(
  source: ArrayBuffer | ArrayBufferView,
  options?: DecodeOptions,
): Promise<Picture>;
export declare function metadataOf(
  source: ArrayBuffer | ArrayBufferView,
  limits?: Partial<Limits>,
): Promise<Metadata>;
export declare function receive(
  stream: ReadableStream<Uint8Array>,
  listener?: {
    onFront?: (info: Info, bytes: Uint8Array) => void;
    onLayer?: (layer: number, bytes: Uint8Array) => void;
  },
): Promise<Uint8Array<ArrayBuffer>>;
/** Samples in the file's colour space to those of a canvas; changes and returns the picture. */
export declare function toDisplay(
  image: ImageData,
  icc: Uint8Array | undefined,
  space?: "srgb" | "display-p3",
): { image: ImageData; converted: boolean };
export declare function encodePng(image: ImageData, metadata?: Metadata): Promise<Blob>;

export declare class VQCodecError extends Error {}
export declare class CorruptData extends VQCodecError {}
export declare class Truncated extends VQCodecError {}
export declare class UnsupportedVersion extends VQCodecError {}
export declare class LimitExceeded extends VQCodecError {}
export declare class UnsuitableOption extends VQCodecError {}
export declare class ModelNotFound extends VQCodecError {}
export declare class ModelMismatch extends VQCodecError {}
