// CloudFront's result types: their order in a stack, colours and patterns. A pattern goes with each colour, because a
// colour alone says nothing to many people; both are the same in the rows' bars and in the charts.

/** A kind of result as it is drawn. */
export interface ResultStyle {
  /** Custom property with the colour. */
  colour: string;
  /** Name of the pattern over it; none for a plain area. */
  pattern: PatternName | undefined;
}

/** Edge of a pattern's tile in pixels. */
export const TILE = 6;

/** Lines of the patterns in a tile, as paths. */
export const PATTERNS = {
  rising: `M-1 ${TILE + 1}L${TILE + 1} -1M-1 1L1 -1M${TILE - 1} ${TILE + 1}L${TILE + 1} ${TILE - 1}`,
  falling: `M-1 -1L${TILE + 1} ${TILE + 1}M-1 ${TILE - 1}L1 ${TILE + 1}M${TILE - 1} -1L${TILE + 1} 1`,
  upright: `M${TILE / 2} 0V${TILE}`,
  level: `M0 ${TILE / 2}H${TILE}`,
  grid: `M${TILE / 2} 0V${TILE}M0 ${TILE / 2}H${TILE}`,
  cross: `M0 0L${TILE} ${TILE}M0 ${TILE}L${TILE} 0`,
  dots: `M${TILE / 2 - 1} ${TILE / 2}h2`,
} as const;
export type PatternName = keyof typeof PATTERNS;

/** From the bottom of a stack to its top: what went well, then what went elsewhere, then what failed. */
const STYLES: Record<string, ResultStyle> = {
  Hit: { colour: '--service-0', pattern: undefined },
  RefreshHit: { colour: '--service-2', pattern: 'level' },
  OriginShieldHit: { colour: '--service-9', pattern: 'dots' },
  Miss: { colour: '--service-4', pattern: 'rising' },
  Redirect: { colour: '--service-3', pattern: 'dots' },
  FunctionGeneratedResponse: { colour: '--service-7', pattern: 'upright' },
  LimitExceeded: { colour: '--warn', pattern: 'falling' },
  CapacityExceeded: { colour: '--warn', pattern: 'grid' },
  Error: { colour: '--error', pattern: 'cross' },
};
const OTHER: ResultStyle = { colour: '--service-11', pattern: 'grid' };
const ORDER = Object.keys(STYLES);

/** How a result type is drawn; one that is not known is drawn as `other`. */
export function resultStyle(name: string): ResultStyle {
  return Object.hasOwn(STYLES, name) ? STYLES[name] : OTHER;
}

/** Names in the order of a stack; unknown ones lie between what went well and what failed, by name. */
export function resultOrder(names: Iterable<string>): string[] {
  const place = (name: string) => {
    const known = ORDER.indexOf(name);
    return known === -1 ? ORDER.indexOf('LimitExceeded') - 0.5 : known;
  };
  return [...new Set(names)].sort((a, b) => place(a) - place(b) || a.localeCompare(b));
}

/** `FunctionGeneratedResponse` as words. */
export function resultLabel(name: string): string {
  if (name === '' || name === '-') return 'not logged';
  return name.replace(/([a-z])([A-Z])/g, (_, a: string, b: string) => `${a} ${b.toLowerCase()}`);
}

/** Id of a pattern's definition in the page. */
export function patternId(name: PatternName): string {
  return `pattern-${name}`;
}
