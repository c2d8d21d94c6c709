/** Orders names by the numbers in them: `sda2` before `sda10`. Without Node's own way, which loads 2.5 MB of rules of languages. */
export function compareNumbered(a: string, b: string): number {
  const [x, y] = [keyOf(a), keyOf(b)];
  return x === y ? 0 : x < y ? -1 : 1;
}

function keyOf(name: string): string {
  return name.replaceAll(/\d+/g, (digits) => digits.padStart(20, '0'));
}
