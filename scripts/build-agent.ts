import { join } from 'node:path';

import { parseText } from '@muster/proto/options';
import { err, ok, type Result } from '@muster/proto/result';

import { buildAgent } from './build-agent/build.ts';
import { readAgentVersion } from './build-agent/bundle.ts';
import { PLATFORMS, type Platform } from './build-agent/node-binary.ts';
import { makeKey, readKey } from './build-agent/signing.ts';
import { runCommand } from './command.ts';

const ROOT = join(import.meta.dirname, '..');

type Wishes = { readonly out: string; readonly only: string; readonly sign: string; readonly makeKey: string };

async function run({ out, only, sign, makeKey: keyFile }: Wishes): Promise<boolean> {
  if (keyFile !== '') {
    const publicKey = makeKey(keyFile);
    console.log(`${keyFile} signs releases: keep it away from collectors and hosts. Agents are given the other half:`);
    console.log(`--update-key ${publicKey}`);
    return true;
  }
  const version = readAgentVersion();
  const platforms = PLATFORMS.filter((platform) => only === '' || platform === only);
  await buildAgent({ out, version, platforms, key: sign === '' ? null : readKey(sign) });
  console.log(`${out} has version ${version} for ${platforms.join(' and ')}, ${sign === '' ? 'not ' : ''}signed`);
  return true;
}

function parsePlatform(text: string): Result<Platform, string> {
  const platform = PLATFORMS.find((name) => name === text);
  return platform === undefined ? err(PLATFORMS.join(' or ')) : ok(platform);
}

await runCommand({
  usage: `build-agent: makes standalone executables of the agent, which need no Node on their host

  node scripts/build-agent.ts --sign release.key`,
  options: {
    out: {
      placeholder: 'DIRECTORY',
      help: 'where they go (default dist/agent)',
      default: join(ROOT, 'dist/agent'),
      parse: parseText,
    },
    only: {
      placeholder: 'PLATFORM',
      help: `only ${PLATFORMS.join(' or ')} (default both)`,
      default: '',
      parse: parsePlatform,
    },
    sign: {
      placeholder: 'FILE',
      help: 'sign the manifest with this private key, so that agents update themselves (default not signed)',
      default: '',
      parse: parseText,
    },
    makeKey: {
      placeholder: 'FILE',
      help: 'make such a key, print its public half, and build nothing (default none made)',
      default: '',
      parse: parseText,
    },
  },
  prove: run,
});
