/** The series by which one sees how long a sample takes: its value is when it was taken, Unix ms. */
export const MARK = {
  series: ['load.taken', ''],
  described: ['load.taken', 'gauge', 'ms'],
} as const;
