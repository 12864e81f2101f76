// Draws the bars of the rows in sight. So many marks as there are rows and pixels for, whatever the size of the trace: what
// falls on the same pixels is one mark.

import type { Palette } from '../lib/colours';
import { serviceColour } from '../lib/colours';
import { formatDuration } from '../lib/format';
import { RowKind, type Rows } from '../lib/layout';
import { durationOf, laneOf, serviceOf, type TraceModel } from '../lib/model';
import { Flag } from '../lib/view';
import { ticks, type Viewport } from '../lib/viewport';
import { LanePatterns } from './patterns';

/** Pixels. */
export const ROW_HEIGHT = 24;
export const SIDE = 8;
/** Room for the duration behind a bar that reaches the end. */
const LABEL_ROOM = 64;
const BAR_TOP = 5;
const BAR_HEIGHT = 14;
const LABEL_GAP = 5;

/** Everything a frame is made of. */
export interface Scene {
  model: TraceModel;
  rows: Rows;
  starts: Float64Array;
  raw: boolean;
  viewport: Viewport;
  palette: Palette;
  /** Place of the first row in sight and where its top is. */
  first: number;
  top: number;
  width: number;
  height: number;
  matching: ReadonlySet<number>;
  /** Events of the selected span: its row and their times. */
  events: { row: number; times: number[] } | undefined;
}

/** Time → x. */
export function scaleX(viewport: Viewport, width: number): (nanos: number) => number {
  const perNano = (width - SIDE - LABEL_ROOM) / (viewport.to - viewport.from);
  return (nanos) => SIDE + (nanos - viewport.from) * perNano;
}

/** x → time. */
export function timeAt(viewport: Viewport, width: number, x: number): number {
  return viewport.from + ((x - SIDE) / (width - SIDE - LABEL_ROOM)) * (viewport.to - viewport.from);
}

/** At most so many axis labels fit. */
export function mostTicks(width: number): number {
  return Math.max(2, Math.floor(width / 110));
}

export function drawRows(context: CanvasRenderingContext2D, scene: Scene, patterns: LanePatterns): void {
  const painter = new Painter(context, scene, patterns);
  context.clearRect(0, 0, scene.width, scene.height);
  painter.grid();
  const last = Math.min(scene.rows.count, scene.first + Math.ceil((scene.height - scene.top) / ROW_HEIGHT));
  for (let place = scene.first; place < last; place++) {
    const y = scene.top + (place - scene.first) * ROW_HEIGHT;
    const ref = scene.rows.ref[place];
    if (scene.rows.kind[place] === RowKind.span) painter.span(ref, y);
    else if (scene.rows.kind[place] === RowKind.fold) painter.fold(ref, y);
    else painter.gap(ref, y);
  }
}

class Painter {
  #context: CanvasRenderingContext2D;
  #scene: Scene;
  #patterns: LanePatterns;
  #x: (nanos: number) => number;

  constructor(context: CanvasRenderingContext2D, scene: Scene, patterns: LanePatterns) {
    this.#context = context;
    this.#scene = scene;
    this.#patterns = patterns;
    this.#x = scaleX(scene.viewport, scene.width);
    context.font = '12px system-ui, "Segoe UI", "Noto Sans", "Liberation Sans", sans-serif';
    context.textBaseline = 'middle';
  }

  grid(): void {
    const { viewport, width, height, palette } = this.#scene;
    this.#context.fillStyle = palette.line;
    for (const tick of ticks(viewport, mostTicks(width))) this.#context.fillRect(Math.round(this.#x(tick)), 0, 1, height);
  }

  span(row: number, y: number): void {
    const { model, starts, palette, matching } = this.#scene;
    const { view } = model;
    const flags = view.flags[row];
    const [left, right] = this.#extent(starts[row], starts[row] + view.duration[row]);
    const isFaded = matching.size > 0 && !matching.has(view.operation[row]);
    this.#context.globalAlpha = isFaded ? 0.3 : 1;
    this.#bar(row, left, right, y, (flags & Flag.async) !== 0);
    if (flags & Flag.error) {
      this.#context.fillStyle = palette.error;
      this.#context.fillRect(left, y + BAR_TOP + BAR_HEIGHT, right - left, 2);
    }
    this.#path([row], y);
    this.#context.globalAlpha = 1;
    this.#eventMarks(row, right, y, flags);
    this.#label(durationOf(view, row), left, right, y, (flags & Flag.error) !== 0);
  }

  fold(index: number, y: number): void {
    const { model, starts, palette, matching } = this.#scene;
    const fold = model.folds[index];
    const [left, right] = this.#extent(fold.start, fold.end);
    const row = fold.members[0];
    this.#context.globalAlpha = matching.size > 0 && !matching.has(model.view.operation[row]) ? 0.3 : 1;
    this.#context.fillStyle = palette.line;
    this.#context.fillRect(left, y + ROW_HEIGHT / 2 - 1, right - left, 2);
    this.#context.fillStyle = this.#colour(row);
    // Members are in order of their start; those on one pixel need one mark.
    let drawnTo = -1;
    for (const member of fold.members) {
      const [from, to] = this.#extent(starts[member], starts[member] + model.view.duration[member]);
      if (to < drawnTo + 1) continue;
      const x = Math.max(from, drawnTo);
      this.#context.fillRect(x, y + BAR_TOP + 2, Math.max(to - x - 0.5, 1), BAR_HEIGHT - 4);
      drawnTo = to;
    }
    if (fold.onPath) this.#path(fold.members, y);
    this.#context.globalAlpha = 1;
    this.#label(`${formatDuration(fold.total)} in all`, left, right, y, fold.errors > 0);
  }

  gap(index: number, y: number): void {
    const { model, palette } = this.#scene;
    const gap = model.gaps[index];
    const context = this.#context;
    const middle = y + ROW_HEIGHT / 2;
    for (const [left, right] of this.#merged(gap.segments)) {
      context.strokeStyle = palette.textDim;
      context.lineWidth = 4;
      context.setLineDash([2, 3]);
      line(context, left, middle, right, middle);
      context.setLineDash([]);
      context.lineWidth = 1;
      for (const x of [left + 0.5, right - 0.5]) line(context, x, middle - 5, x, middle + 5);
    }
    const [left, right] = this.#extent(gap.start, gap.end);
    this.#label(formatDuration(gap.total), left, right, y, false);
  }

  #bar(row: number, left: number, right: number, y: number, isAsync: boolean): void {
    const context = this.#context;
    context.fillStyle = this.#colour(row);
    if (!isAsync) {
      context.fillRect(left, y + BAR_TOP, right - left, BAR_HEIGHT);
    } else {
      // Nobody waits for it: hollow, behind a thin rule.
      context.globalAlpha *= 0.35;
      context.fillRect(left, y + BAR_TOP + 2, right - left, BAR_HEIGHT - 4);
      context.globalAlpha = Math.min(1, context.globalAlpha / 0.35);
      context.strokeStyle = this.#colour(row);
      context.lineWidth = 1;
      context.strokeRect(left + 0.5, y + BAR_TOP + 2.5, Math.max(right - left - 1, 1), BAR_HEIGHT - 5);
      context.strokeStyle = this.#scene.palette.textDim;
      line(context, left - 2.5, y + 1, left - 2.5, y + ROW_HEIGHT - 1);
    }
    this.#patterns.paint(context, laneOf(this.#scene.model.view, row), left, y + BAR_TOP, right - left, BAR_HEIGHT);
  }

  /** The critical path: a line along the bar, with a halo so that it shows on every colour. */
  #path(rows: Iterable<number>, y: number): void {
    const { model, palette } = this.#scene;
    const middle = y + BAR_TOP + BAR_HEIGHT / 2;
    for (const [left, right] of this.#merged(segmentsOf(model, rows))) {
      this.#context.fillStyle = palette.bg;
      this.#context.fillRect(left, middle - 3, right - left, 6);
      this.#context.fillStyle = palette.path;
      this.#context.fillRect(left, middle - 1.5, right - left, 3);
    }
  }

  #eventMarks(row: number, right: number, y: number, flags: number): void {
    const { events, palette } = this.#scene;
    const context = this.#context;
    context.fillStyle = palette.text;
    if (events?.row === row) {
      let last = -Infinity;
      for (const time of events.times) {
        const x = this.#x(time);
        if (Math.abs(x - last) < 1) continue;
        diamond(context, x, y + BAR_TOP, 4);
        last = x;
      }
    } else if (flags & Flag.hasEvents) {
      diamond(context, right, y + BAR_TOP, 3);
    }
  }

  /** Beside the bar where there is room: after it, before it, else on it with a ground of its own. */
  #label(text: string, left: number, right: number, y: number, isError: boolean): void {
    const { width, palette } = this.#scene;
    const context = this.#context;
    if (right < 0 || left > width) return;
    const content = isError ? `! ${text}` : text;
    const room = context.measureText(content).width;
    let x = right + LABEL_GAP;
    if (x + room > width) x = left - LABEL_GAP - room;
    if (x < 0) {
      x = Math.min(right, width) - room - LABEL_GAP;
      context.fillStyle = palette.bg;
      // To the end of the bar, so that no sliver of it is left behind the text.
      const end = Math.min(right, width);
      context.fillRect(x - 3, y + BAR_TOP, end - x + 3, BAR_HEIGHT + 2);
    }
    context.fillStyle = isError ? palette.error : palette.textDim;
    context.fillText(content, x, y + ROW_HEIGHT / 2 + 0.5);
  }

  /** Pixels of a stretch of time; never thinner than 2, never far outside the canvas. */
  #extent(from: number, to: number): [number, number] {
    const left = Math.max(this.#x(from), -2 * SIDE);
    const right = Math.min(Math.max(this.#x(to), this.#x(from) + 2), this.#scene.width + 2 * SIDE);
    return [Math.min(left, this.#scene.width + 2 * SIDE), Math.max(right, -2 * SIDE)];
  }

  #segmentExtent(segment: number): [number, number] {
    const { model, raw } = this.#scene;
    const shift = raw ? (model.shiftOf.get(model.view.segmentRow[segment]) ?? 0) : 0;
    return this.#extent(model.view.segmentStart[segment] - shift, model.view.segmentEnd[segment] - shift);
  }

  /** Stretches on screen of segments in the order of time; those that touch are one. */
  *#merged(segments: Iterable<number>): Generator<[number, number]> {
    let run: [number, number] | undefined;
    for (const segment of segments) {
      const [left, right] = this.#segmentExtent(segment);
      if (right < -SIDE || left > this.#scene.width + SIDE) continue;
      if (run !== undefined && left <= run[1] + 1 && right >= run[0] - 1) {
        run = [Math.min(run[0], left), Math.max(run[1], right)];
      } else {
        if (run !== undefined) yield run;
        run = [left, right];
      }
    }
    if (run !== undefined) yield run;
  }

  #colour(row: number): string {
    return this.#scene.palette.service[serviceColour(serviceOf(this.#scene.model.view, row))];
  }
}

/** Critical-path segments of rows. */
function* segmentsOf(model: TraceModel, rows: Iterable<number>): Generator<number> {
  for (const row of rows) {
    for (let i = model.segmentFrom[row]; i < model.segmentFrom[row + 1]; i++) yield model.segmentOrder[i];
  }
}

function line(context: CanvasRenderingContext2D, x0: number, y0: number, x1: number, y1: number): void {
  context.beginPath();
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
  context.stroke();
}

function diamond(context: CanvasRenderingContext2D, x: number, y: number, size: number): void {
  context.beginPath();
  context.moveTo(x, y - size);
  context.lineTo(x + size, y);
  context.lineTo(x, y + size);
  context.lineTo(x - size, y);
  context.fill();
}
