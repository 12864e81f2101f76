import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { SCALE, serviceColour } from './colours';

type Rgb = [number, number, number];

const css = readFileSync(new URL('../app.css', import.meta.url), 'utf8');
const THEMES = {
  light: tokens(/:root \{([^}]*)\}/),
  dark: tokens(/:root\[data-theme='dark'\] \{([^}]*)\}/),
  'dark by the system': tokens(/:root:not\(\[data-theme='light'\]\) \{([^}]*)\}/),
};

function tokens(block: RegExp): Map<string, Rgb> {
  const body = block.exec(css)?.[1] ?? '';
  const found = [...body.matchAll(/--([\w-]+): #([0-9a-f]{6});/g)];
  return new Map(found.map(([, name, hex]) => [name, [0, 2, 4].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)) as Rgb]));
}

const linear = (channel: number) => (channel / 255 <= 0.04045 ? channel / 255 / 12.92 : ((channel / 255 + 0.055) / 1.055) ** 2.4);

function luminance([r, g, b]: Rgb): number {
  return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
}

function contrast(a: Rgb, b: Rgb): number {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
}

/** Deuteranopia and protanopia after Machado, Oliveira and Fernandes (2009), severity 1, in linear light. */
const BLIND = {
  deuteranopia: [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
  protanopia: [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
};

/** Distance in OKLab, after the simulation. */
function distance(a: Rgb, b: Rgb, matrix: number[][]): number {
  const seen = (colour: Rgb) => {
    const light = colour.map(linear);
    return oklab(matrix.map((row) => Math.max(0, row[0] * light[0] + row[1] * light[1] + row[2] * light[2])) as Rgb);
  };
  const [x, y] = [seen(a), seen(b)];
  return Math.hypot(x[0] - y[0], x[1] - y[1], x[2] - y[2]);
}

function oklab([r, g, b]: Rgb): Rgb {
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s, 1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s, 0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s];
}

describe.each(Object.entries(THEMES))('%s', (_, theme) => {
  const colour = (name: string): Rgb => theme.get(name) ?? [0, 0, 0];
  const grounds = ['bg', 'bg-raised'];

  it.each(['text', 'text-dim', 'accent', 'error', 'warn', 'ok'])('%s can be read', (name) => {
    for (const ground of [...grounds, 'bg-hover', 'bg-selected']) expect(contrast(colour(name), colour(ground)), ground).toBeGreaterThanOrEqual(4.5);
  });

  it('notices can be read', () => {
    for (const kind of ['error', 'warn']) {
      expect(contrast(colour(kind), colour(`${kind}-bg`))).toBeGreaterThanOrEqual(4.5);
      expect(contrast(colour('accent'), colour(`${kind}-bg`))).toBeGreaterThanOrEqual(4.5);
    }
    expect(contrast(colour('accent-text'), colour('accent'))).toBeGreaterThanOrEqual(4.5);
  });

  it('marks stand out from the ground', () => {
    const marks = ['path', 'line-strong', ...Array.from({ length: SCALE }, (__, i) => `service-${i}`)];
    for (const mark of marks) for (const ground of grounds) expect(contrast(colour(mark), colour(ground)), `${mark} on ${ground}`).toBeGreaterThanOrEqual(3);
  });

  it('neighbours in the scale are told apart without red or green', () => {
    for (const [kind, matrix] of Object.entries(BLIND)) {
      for (let i = 0; i < SCALE; i++) {
        const next = (i + 1) % SCALE;
        expect(distance(colour(`service-${i}`), colour(`service-${next}`), matrix), `${i} and ${next}, ${kind}`).toBeGreaterThan(0.08);
      }
    }
  });
});

it('the two dark themes are one', () => {
  expect(THEMES.dark).toEqual(THEMES['dark by the system']);
});

it('a service keeps its colour', () => {
  expect(['cloudfront', 'nginx', 'upstream', 'downstream'].map(serviceColour)).toEqual([0, 2, 1, 3]);
  const used = new Set(Array.from({ length: 200 }, (_, i) => serviceColour(`service-${i}`)));
  expect(used.size).toBe(SCALE);
});
