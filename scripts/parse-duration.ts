const UNITS_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 24 * 3_600_000 };

/** As `90s`, `5m`, `-2h`, `30d`, in milliseconds; null for anything else. */
export function parseDuration(text: string): number | null {
  const [, number, unit = ''] = /^(-?\d{1,6})([smhd])$/.exec(text) ?? [];
  const unitMs = UNITS_MS[unit];
  return number === undefined || unitMs === undefined ? null : Number(number) * unitMs;
}
