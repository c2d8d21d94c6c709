import { open, rename } from 'node:fs/promises';

/** Settings of the engine by their path in its configuration: `backups/allowed_path`. */
export type EngineSettings = Readonly<Record<string, string | number>>;

/**
 * The engine's own defaults are meant for a machine that does nothing else: caches of 5 GB, and 128 threads to delete what
 * was merged.
 */
export const ENGINE_SETTINGS: EngineSettings = {
  mark_cache_size: 134_217_728,
  index_mark_cache_size: 16_777_216,
  compiled_expression_cache_size: 16_777_216,
  max_parts_cleaning_thread_pool_size: 2,
  max_active_parts_loading_thread_pool_size: 2,
  max_io_thread_pool_size: 8,
  // Sixteen by default, each with buffers of its own: a backup is to be done beside the ingest, not before it.
  backup_threads: 2,
  restore_threads: 2,
};

/** What keeps every part as it was restored, so that it can be compared with what was backed up. */
export const WITHOUT_MERGES: EngineSettings = {
  'merge_tree/max_bytes_to_merge_at_max_space_in_pool': 1,
  'merge_tree/max_bytes_to_merge_at_min_space_in_pool': 1,
  'merge_tree/max_number_of_merges_with_ttl_in_pool': 0,
};

type Node = Map<string, Node | string>;

/** The text of a configuration file of the engine. */
export function formatEngineSettings(settings: EngineSettings): string {
  const root: Node = new Map();
  for (const [path, value] of Object.entries(settings)) {
    const names = path.split('/');
    const last = names.pop() ?? '';
    let node = root;
    for (const name of names) {
      const inner = node.get(name);
      const next: Node = inner instanceof Map ? inner : new Map();
      node.set(name, next);
      node = next;
    }
    node.set(last, escapeXml(String(value)));
  }
  return `<clickhouse>${formatNode(root)}</clickhouse>\n`;
}

function formatNode(node: Node): string {
  return Array.from(
    node,
    ([name, value]) => `<${name}>${value instanceof Map ? formatNode(value) : value}</${name}>`,
  ).join('');
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/** Writes the file in one step, readable by its owner. */
export async function writeEngineSettings(file: string, settings: EngineSettings): Promise<void> {
  const handle = await open(`${file}.new`, 'w', 0o600);
  try {
    await handle.writeFile(formatEngineSettings(settings));
    await handle.chmod(0o600);
  } finally {
    await handle.close();
  }
  await rename(`${file}.new`, file);
}
