/** Whether a name matches any of the patterns, in which `*` stands for anything and `?` for one character; of none, nothing. */
export function makeGlobs(globs: readonly string[]): (name: string) => boolean {
  const patterns = globs.map((glob) =>
    glob
      .replaceAll(/[^\w*?]/g, String.raw`\$&`)
      .replaceAll('*', '.*')
      .replaceAll('?', '.'),
  );
  const pattern = new RegExp(`^(?:${patterns.length === 0 ? '(?!)' : patterns.join('|')})$`, 's');
  return (name) => pattern.test(name);
}
