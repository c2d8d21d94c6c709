import { isRecord } from '@muster/proto/record';
import { err, ok, type Result } from '@muster/proto/result';

import { parseJson } from '../../parse-json.ts';
import { toPlainText } from '../../plain-text.ts';

/** What a disk knows of itself; what it does not is null, or not among `errors`. */
export type Smart = {
  /** Which disk it is, wherever it is plugged in: its serial number, or else its worldwide name. */
  readonly id: string | null;
  readonly model: string;
  readonly isPassed: boolean | null;
  readonly celsius: number | null;
  readonly poweredSeconds: number | null;
  /** What is worn of what its maker promises; above 1 when it has done more than that. */
  readonly wornRatio: number | null;
  readonly errors: readonly (readonly [type: string, count: number])[];
};

const NAME_LENGTH_MAX = 100;

/** Attributes that all makers mean alike. Source: smartctl(8) and its drive database. */
const ATTRIBUTES: Readonly<Record<number, string>> = { 5: 'reallocated', 197: 'pending', 198: 'uncorrectable' };

/** Reads what `smartctl --json --all` prints. The error says in its own words why there is nothing. */
export function parseSmart(text: string): Result<Smart, string> {
  const report = parseJson(text);
  if (!isRecord(report)) return err('smartctl prints no report');
  const nvme = recordAt(report, 'nvme_smart_health_information_log');
  const attributes = recordAt(report, 'ata_smart_attributes')['table'];
  const errors = [...listAttributes(attributes), ...present('media', countAt(nvme, 'media_errors'))];
  const { passed } = recordAt(report, 'smart_status');
  const hours = countAt(recordAt(report, 'power_on_time'), 'hours');
  const wornPercent =
    countAt(recordAt(report, 'endurance_used'), 'current_percent') ?? countAt(nvme, 'percentage_used');
  const { current } = recordAt(report, 'temperature');
  const smart: Smart = {
    id: textAt(report, 'serial_number') ?? findWorldWideName(report),
    model: textAt(report, 'model_name') ?? 'disk',
    isPassed: typeof passed === 'boolean' ? passed : null,
    celsius: isCelsius(current) ? current : null,
    poweredSeconds: hours === null ? null : hours * 3600,
    wornRatio: wornPercent === null ? null : wornPercent / 100,
    errors,
  };
  const hasAny =
    smart.isPassed !== null || smart.celsius !== null || smart.poweredSeconds !== null || errors.length > 0;
  return hasAny ? ok(smart) : err(findReason(report));
}

type Json = Readonly<Record<string, unknown>>;

function recordAt(record: Json, key: string): Json {
  const value = record[key];
  return isRecord(value) ? value : {};
}

function countAt(record: Json, key: string): number | null {
  const value = record[key];
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : null;
}

function textAt(record: Json, key: string): string | null {
  const value = record[key];
  return (typeof value === 'string' ? toPlainText(value, NAME_LENGTH_MAX, ' ') : '') || null;
}

/** As udev writes it: 4 bits for its kind, 24 for the maker, 36 for the disk. Source: SPC-4, NAA designator. */
function findWorldWideName(report: Json): string | null {
  const wwn = recordAt(report, 'wwn');
  const format = (key: string, length: number) => countAt(wwn, key)?.toString(16).padStart(length, '0') ?? '';
  const digits = format('naa', 1) + format('oui', 6) + format('id', 9);
  return /^[0-9a-f]{16}$/.test(digits) ? `wwn-0x${digits}` : null;
}

/** Disks that know none say 0, or less than is possible. */
function isCelsius(value: unknown): value is number {
  return typeof value === 'number' && value > -100 && value < 200 && value !== 0;
}

function listAttributes(table: unknown): readonly (readonly [string, number])[] {
  if (!Array.isArray(table)) return [];
  return table.filter(isRecord).flatMap((attribute) => {
    const type = ATTRIBUTES[Number(attribute['id'])];
    return type === undefined ? [] : present(type, countAt(recordAt(attribute, 'raw'), 'value'));
  });
}

function present(type: string, count: number | null): readonly (readonly [string, number])[] {
  return count === null ? [] : [[type, count]];
}

/** Source: smartctl(8): `smartctl.messages`, one text each. A disk that sleeps is told so too. */
function findReason(report: Json): string {
  const { messages } = recordAt(report, 'smartctl');
  const texts = Array.isArray(messages) ? messages.filter(isRecord).map(({ string }) => string) : [];
  const text = texts.find((one) => typeof one === 'string' && one !== '');
  return typeof text === 'string' ? text.slice(0, 200) : 'it says nothing of its health';
}
