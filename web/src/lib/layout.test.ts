import { describe, expect, it } from 'vitest';
import { makeView, type TestSpan } from './fixture';
import { layoutRows, parentPlace, reveal, RowKind, type RowState } from './layout';
import { buildModel, type TraceModel } from './model';
import { Flag, SegmentKind } from './view';

const ALL: RowState = { collapsed: new Set(), unfolded: new Set(), pathOnly: false };

function span(parent: number, name: string, more: Partial<TestSpan> = {}): TestSpan {
  return { parent, service: 's', name, start: 0, duration: 10, ...more };
}

/** Rows as `depth kind name`. */
function shown(model: TraceModel, state: Partial<RowState> = {}): string[] {
  const rows = layoutRows(model, { ...ALL, ...state });
  const { strings, operations } = model.view.header;
  const name = (row: number) => strings[operations[model.view.operation[row]][1]];
  return Array.from({ length: rows.count }, (_, i) => {
    const ref = rows.ref[i];
    if (rows.kind[i] === RowKind.fold) return `${rows.depth[i]} ×${model.folds[ref].members.length} ${name(model.folds[ref].members[0])}`;
    if (rows.kind[i] === RowKind.gap) return `${rows.depth[i]} gap ${model.gaps[ref].total}`;
    return `${rows.depth[i]} ${name(ref)}`;
  });
}

describe('layoutRows', () => {
  it('shows the tree in order and hides what is closed', () => {
    const model = buildModel(makeView([span(-1, 'root'), span(0, 'a'), span(1, 'a1'), span(0, 'b')]));
    expect(shown(model)).toEqual(['0 root', '1 a', '2 a1', '1 b']);
    expect(shown(model, { collapsed: new Set([1]) })).toEqual(['0 root', '1 a', '1 b']);
    expect(shown(model, { collapsed: new Set([0]) })).toEqual(['0 root']);
  });

  it('folds five similar siblings, also when others lie between them', () => {
    const children = ['q', 'x', 'q', 'q', 'q', 'q'].map((name) => span(0, name));
    const model = buildModel(makeView([span(-1, 'root'), ...children]));
    expect(shown(model)).toEqual(['0 root', '1 ×5 q', '1 x']);
    expect(shown(model, { unfolded: new Set([0]) })).toEqual(['0 root', '1 ×5 q', '2 q', '2 q', '2 q', '2 q', '2 q', '1 x']);
    expect(shown(buildModel(makeView([span(-1, 'root'), ...children.slice(1)])))).toEqual(['0 root', '1 x', '1 q', '1 q', '1 q', '1 q']);
  });

  it('gives waiting a row before the children it precedes, one for a kind', () => {
    const model = buildModel(
      makeView(
        [span(-1, 'call', { duration: 100 }), span(0, 'serve')],
        [
          { row: 0, kind: SegmentKind.netQueue, start: 0, end: 20 },
          { row: 1, kind: SegmentKind.self, start: 20, end: 80 },
          { row: 0, kind: SegmentKind.netQueue, start: 80, end: 90 },
        ],
      ),
    );
    expect(shown(model)).toEqual(['0 call', '1 gap 30', '1 serve']);
    expect(shown(model, { collapsed: new Set([0]) })).toEqual(['0 call']);
  });

  it('shows the critical path only, with what leads to it', () => {
    const onPath = { flags: Flag.onPath };
    const model = buildModel(makeView([span(-1, 'root'), span(0, 'a'), span(1, 'deep', onPath), span(0, 'b')]));
    expect(shown(model, { pathOnly: true })).toEqual(['0 root', '1 a', '2 deep']);
  });

  it('opens what hides a row', () => {
    const model = buildModel(makeView([span(-1, 'root'), ...Array.from({ length: 5 }, () => span(0, 'q')), span(5, 'leaf')]));
    const collapsed = new Set([0, 5]);
    const unfolded = new Set<number>();
    reveal(model, 6, collapsed, unfolded);
    expect([...collapsed]).toEqual([]);
    expect([...unfolded]).toEqual([0]);
    const rows = layoutRows(model, { ...ALL, collapsed, unfolded });
    expect(rows.placeOf[6]).toBe(7);
    expect(rows.ref[parentPlace(rows, 7)]).toBe(5);
  });

  it('lays out a chain as long as a trace may be', () => {
    const count = 20_000;
    const model = buildModel(makeView(Array.from({ length: count }, (_, i) => span(i - 1, `n${i % 7}`))));
    expect(layoutRows(model, ALL).count).toBe(count);
    expect(model.below[0]).toBe(count - 1);
  });

  it('counts errors below a row', () => {
    const model = buildModel(makeView([span(-1, 'root'), span(0, 'a', { flags: Flag.error }), span(1, 'b', { flags: Flag.error })]));
    expect([...model.errorsBelow]).toEqual([2, 1, 0]);
  });
});
