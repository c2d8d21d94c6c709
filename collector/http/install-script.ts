/** A host name, an IPv4 address, or an IPv6 address in brackets, and a port. Source: RFC 9110, section 7.2; RFC 3986. */
const HOST = /^(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:]{2,39}\])(?::\d{1,5})?$/i;

/** Where a package puts the agent, and where the script does: what is not the distribution's belongs under /usr/local. */
const PACKAGED = 'ExecStart=/usr/bin/';
const INSTALLED = 'ExecStart=/usr/local/bin/';
/** Names a document of the package. */
const DOCUMENTATION = /^Documentation=.*\n/m;

export type InstallScriptOptions = {
  readonly template: string;
  readonly unit: string;
  /** The files that give the service more rights, by name. */
  readonly dropIns: ReadonlyMap<string, string>;
  /** As the request named us. */
  readonly host: string;
  /**
   * Whether a proxy says that it was asked over TLS. Anyone may say so: it can only make a script that asks for TLS, for
   * the one who said it.
   */
  readonly isEncrypted: boolean;
};

/**
 * The script that installs an agent of this collector, or null where the request does not name us as it should. What
 * comes from the request stands between quotes in a program that is run by root, so it may hold only what a host has.
 */
export function writeInstallScript(options: InstallScriptOptions): string | null {
  const { template, unit, dropIns, host, isEncrypted } = options;
  if (!HOST.test(host)) return null;
  const url = `${isEncrypted ? 'https' : 'http'}://${host.toLowerCase()}`;
  // Functions: a `$` in what is put in means nothing.
  return template
    .replace("'@URL@'", () => `'${url}'`)
    .replace('@UNIT@\n', () => unit.replace(PACKAGED, INSTALLED).replace(DOCUMENTATION, ''))
    .replace('  @DROPINS@\n', () => Array.from(dropIns, writeDropIn).join(''));
}

function writeDropIn([name, text]: readonly [string, string]): string {
  return `  cat >"$dropins/${name}" <<'DROPIN'\n${text}DROPIN\n`;
}
