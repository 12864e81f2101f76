// Service colours: a categorical scale of twelve, chosen by a hash of the name, so that a service has the same colour in
// every list, trace and session. The colours themselves are CSS custom properties `--service-0` … `--service-11`.

/** Length of the scale. */
export const SCALE = 12;

/** Any start will do for the hash; with this one the services of the demo have colours far apart. */
const SEED = 0x813d_81f6;

/** Place of a service in the scale: FNV-1a of its UTF-16 units. */
export function serviceColour(service: string): number {
  let hash = SEED;
  for (let i = 0; i < service.length; i++) {
    hash ^= service.charCodeAt(i);
    hash = Math.imul(hash, 0x0100_0193) >>> 0;
  }
  // The low bits of FNV alone are weak; fold the high ones in.
  return ((hash ^ (hash >>> 15)) >>> 0) % SCALE;
}

/** Colours for drawing on a canvas, read from the page's custom properties. */
export interface Palette {
  bg: string;
  bgRaised: string;
  line: string;
  text: string;
  textDim: string;
  accent: string;
  error: string;
  warn: string;
  path: string;
  service: string[];
}

/** Reads the palette in force. */
export function readPalette(element: Element): Palette {
  const style = getComputedStyle(element);
  const value = (name: string) => style.getPropertyValue(name).trim();
  return {
    bg: value('--bg'),
    bgRaised: value('--bg-raised'),
    line: value('--line'),
    text: value('--text'),
    textDim: value('--text-dim'),
    accent: value('--accent'),
    error: value('--error'),
    warn: value('--warn'),
    path: value('--path'),
    service: Array.from({ length: SCALE }, (_, i) => value(`--service-${i}`)),
  };
}
