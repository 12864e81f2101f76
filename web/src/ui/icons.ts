// Icons as paths on a 16 × 16 grid, stroked with the text's colour.

export const ICONS = {
  service: 'M8 1.8l5.4 3.1v6.2L8 14.2l-5.4-3.1V4.9zM8 8v6M8 8l5.2-3M8 8L2.8 5',
  cdn: 'M4.6 12.5h7a2.8 2.8 0 0 0 .4-5.6A4 4 0 0 0 4.3 6.3a3.1 3.1 0 0 0 .3 6.2z',
  proxy: 'M1.5 8h4M10.5 8h4M12.5 6l2 2-2 2M5.5 3.5h5v9h-5z',
  database: 'M3 4c0-1.2 2.2-2 5-2s5 .8 5 2-2.2 2-5 2-5-.8-5-2zM3 4v8c0 1.2 2.2 2 5 2s5-.8 5-2V4M3 8c0 1.2 2.2 2 5 2s5-.8 5-2',
  queue: 'M2 3.5h3v9H2zM6.5 3.5h3v9h-3zM11 3.5h3v9h-3z',
  external: 'M7 3H3v10h10V9M9.5 2.5h4v4M13.5 2.5L7.5 8.5',
  gap: 'M2 8h.1M5 8h.1M8 8h.1M11 8h.1M14 8h.1',
  fold: 'M3 3.5h10M3 6.5h10M3 9.5h10M3 12.5h10',
  error: 'M8 1.8l6.4 11.7H1.6zM8 6v3.8M8 11.6v.1',
  notice: 'M8 1.7a6.3 6.3 0 1 0 0 12.6A6.3 6.3 0 0 0 8 1.7zM8 7.2v4M8 4.8v.1',
  copy: 'M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8z',
  download: 'M8 2v8M4.8 7L8 10.2 11.2 7M2.5 13.5h11',
  link: 'M6.5 9.5l3-3M5.3 7.2L3.4 9.1a2.5 2.5 0 0 0 3.5 3.5l1.9-1.9M10.7 8.8l1.9-1.9a2.5 2.5 0 0 0-3.5-3.5L7.2 5.3',
  close: 'M3.5 3.5l9 9M12.5 3.5l-9 9',
  open: 'M6 3.5L10.5 8 6 12.5',
  search: 'M7 2.2a4.8 4.8 0 1 0 0 9.6 4.8 4.8 0 0 0 0-9.6zM10.5 10.5l3.5 3.5',
  live: 'M13 3.5v3.2H9.8M3 12.5V9.3h3.2M12.6 6.5A5 5 0 0 0 3.7 5.4M3.4 9.5a5 5 0 0 0 8.9 1.1',
  theme: 'M8 1.7a6.3 6.3 0 1 0 0 12.6zM8 1.7a6.3 6.3 0 0 1 0 12.6',
  add: 'M8 3v10M3 8h10',
  down: 'M3.5 6L8 10.5 12.5 6',
  up: 'M3.5 10.5L8 6l4.5 4.5',
  clock: 'M8 1.7a6.3 6.3 0 1 0 0 12.6A6.3 6.3 0 0 0 8 1.7zM8 4.5V8l2.5 1.8',
} as const;

export type IconName = keyof typeof ICONS;

/** Icon of a lane, by its code. */
export const LANE_ICONS: IconName[] = ['service', 'cdn', 'proxy', 'database', 'queue', 'external'];

/** Words for a lane, by its code. */
export const LANE_LABELS = ['service', 'CDN', 'proxy', 'database', 'queue', 'external service'];
