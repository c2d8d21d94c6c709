import { hashSecret, makeSecret } from './secret.ts';
import type { SessionRecord, StateTable } from './store/state.ts';

const IDLE_MS_MAX = 7 * 86_400_000;
const AGE_MS_MAX = 30 * 86_400_000;
/** How exactly the last use is kept: a write an hour, not one a request. */
const USED_MS = 3_600_000;

/** The sessions of browsers. An id is known here by its hash only, which also names the session to others. */
export type Sessions = ReturnType<typeof makeSessions>;

export function makeSessions(table: StateTable<SessionRecord>, now: () => number) {
  const noting = new Set<string>();

  /** Not awaited: whether a use was noted decides nothing now, and a broken store shows itself at ingest. */
  function noteUse(session: SessionRecord): void {
    if (noting.has(session.hash)) return;
    noting.add(session.hash);
    table
      .change(session.hash, (row) => ({ ...row, usedMs: now() }))
      .catch(() => undefined)
      .finally(() => noting.delete(session.hash));
  }

  return {
    /** The session of an id, null where there is none or it is over. */
    find(id: string): string | null {
      const session = table.get(hashSecret(id));
      if (session === undefined || isOver(session, now())) return null;
      if (now() - session.usedMs > USED_MS) noteUse(session);
      return session.hash;
    },
    /** The id of a new session. Clears away those that are over. */
    async open(): Promise<string> {
      for (const session of table.all()) if (isOver(session, now())) await table.remove(session.hash);
      const id = makeSecret();
      await table.put({ hash: hashSecret(id), createdMs: now(), usedMs: now() });
      return id;
    },
    close: (session: string): Promise<void> => table.remove(session),
  };
}

function isOver({ usedMs, createdMs }: SessionRecord, nowMs: number): boolean {
  return nowMs - usedMs > IDLE_MS_MAX || nowMs - createdMs > AGE_MS_MAX;
}
