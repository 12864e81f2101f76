// Patterns over the bars of a lane, so that CDN, proxy, database, queue and external calls differ without colour.

import { Lane } from '../lib/view';

const TILE = 8;

/** One set for a theme and a device's pixel ratio. */
export class LanePatterns {
  #patterns = new Map<number, CanvasPattern>();

  constructor(context: CanvasRenderingContext2D, ink: string, ratio: number) {
    for (const lane of [Lane.cdn, Lane.proxy, Lane.database, Lane.queue, Lane.external]) {
      const pattern = makePattern(context, lane, ink, ratio);
      if (pattern !== null) this.#patterns.set(lane, pattern);
    }
  }

  /** Paints the lane's pattern over a bar; a service's own work has none. */
  paint(context: CanvasRenderingContext2D, lane: number, x: number, y: number, width: number, height: number): void {
    const pattern = this.#patterns.get(lane);
    if (pattern === undefined || width < 3) return;
    // Anchored to the bar, so that it does not swim when the rows scroll.
    context.save();
    context.globalAlpha *= 0.4;
    context.translate(x, y);
    context.fillStyle = pattern;
    context.fillRect(0, 0, width, height);
    context.restore();
  }
}

function makePattern(context: CanvasRenderingContext2D, lane: number, ink: string, ratio: number): CanvasPattern | null {
  const tile = document.createElement('canvas');
  tile.width = TILE * ratio;
  tile.height = TILE * ratio;
  const draw = tile.getContext('2d');
  if (draw === null) return null;
  draw.scale(ratio, ratio);
  draw.strokeStyle = ink;
  draw.fillStyle = ink;
  draw.lineWidth = 1.5;
  draw.beginPath();
  paintTile(draw, lane);
  draw.stroke();
  const pattern = context.createPattern(tile, 'repeat');
  pattern?.setTransform(new DOMMatrix().scale(1 / ratio));
  return pattern;
}

function paintTile(draw: CanvasRenderingContext2D, lane: number): void {
  const stroke = (...points: number[]) => {
    draw.moveTo(points[0], points[1]);
    draw.lineTo(points[2], points[3]);
  };
  if (lane === Lane.cdn) {
    for (const at of [-TILE, 0, TILE]) stroke(at, TILE, at + TILE, 0);
  } else if (lane === Lane.proxy) {
    stroke(4, 0, 4, TILE);
  } else if (lane === Lane.database) {
    stroke(0, 2, TILE, 2);
  } else if (lane === Lane.queue) {
    for (const [x, y] of [[1, 1], [5, 5]]) draw.fillRect(x, y, 2, 2);
  } else {
    for (const at of [-TILE, 0, TILE]) stroke(at, 0, at + TILE, TILE);
    for (const at of [-TILE, 0, TILE]) stroke(at, TILE, at + TILE, 0);
  }
}
