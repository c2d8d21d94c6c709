import type { Moment } from '@muster/proto/batch';
import { ok, type Result } from '@muster/proto/result';

import type { ReadResult, Sample } from '../../source.ts';
import type { Listed } from './answers.ts';
import { readCgroup } from './cgroup.ts';
import type { Engine } from './engine.ts';
import { makeInspections, type Inspection } from './inspections.ts';
import { makeMoments } from './moments.ts';
import { makeNames, type NameOptions } from './names.ts';
import { askEach, askInspected, askList, askStats, makeEventQuestion } from './questions.ts';
import { formatInfo, makeContainerSampler } from './sample.ts';
import { makeTotals } from './totals.ts';
import type { Usage } from './usage.ts';

export type WatchOptions = {
  readonly root: string;
  readonly now: () => number;
  readonly names: NameOptions;
};

/**
 * Reads an engine. Without its list of containers there is no reading; what else it does not say is left out, and told in
 * the remark.
 */
export function makeWatch({ root, now, names: nameOptions }: WatchOptions) {
  const names = makeNames(nameOptions);
  const inspections = makeInspections();
  const moments = makeMoments();
  const totals = makeTotals();
  const sampler = makeContainerSampler();
  const askEvents = makeEventQuestion();

  function sample(one: Listed, usage: Usage | null, nowMs: number): Sample[] {
    const { inspected = null } = inspections.find(one.id) ?? {};
    const run = { key: `${one.id} ${inspected?.startedMs}`, startedMs: inspected?.startedMs ?? null };
    const known = {
      listed: one,
      inspected,
      health: one.health ?? inspected?.health ?? null,
      usage,
      totals: usage === null ? {} : totals.add(one.name, run, usage.counts, nowMs),
      info: nowMs - one.createdMs >= nameOptions.settleMs ? formatInfo(one) : null,
    };
    return sampler.sample(known, nowMs);
  }

  return async (engine: Engine, signal: AbortSignal): Promise<ReadResult> => {
    const list = await askList(engine, signal);
    if (!list.ok) return list;
    const { listed, malformed, isPodman } = list.value;
    const nowMs = now();
    const { containers, remarks } = names.choose(listed, nowMs);
    const chosen = [...containers.values()];
    const happened = await askEvents(engine, { isPodman, nowMs, signal });
    const events = happened.ok ? happened.value : [];

    inspections.prune(listed);
    const due = inspections.choose(chosen, new Set(events.map(({ id }) => id)), nowMs);
    const inspected = await askEach(due, (one) => askInspected(engine, one, signal));
    const news = happened.ok
      ? moments.take(
          events.filter(({ name }) => names.isWanted(name)),
          nowMs,
        )
      : [];
    for (const one of due) {
      const found = inspected.answers.get(one.id);
      if (found === undefined) continue;
      const before = inspections.find(one.id);
      const after = inspections.keep(one, found, nowMs);
      if (before !== null) news.push(...compare(one.name, before, after, moments.tell));
    }

    const usages = await readUsages(root, chosen, inspections.find, (one) => askStats(engine, one, signal));
    totals.keep(names.isKnown);
    sampler.keep(names.isKnown);
    const samples = chosen.flatMap((one) => sample(one, usages.answers.get(one.id) ?? null, nowMs));
    const unsaid = [
      malformed > 0 ? MALFORMED : null,
      happened.ok ? null : happened.error,
      inspected.fault,
      usages.remark,
    ];
    const remark = [...new Set([...remarks, ...unsaid.filter((one) => one !== null)])].join('; ');
    const reading = { samples: [...sampler.count(listed), ...samples], events: news };
    return ok(remark === '' ? reading : { ...reading, remark });
  };
}

const MALFORMED = 'containers that the engine describes in an unknown way are left out';

/** What is news in what an engine says of a container, that it did not say before. */
function compare(
  name: string,
  before: Inspection,
  { inspected, atMs }: Inspection,
  tell: ReturnType<typeof makeMoments>['tell'],
): readonly Moment[] {
  const isUnhealthy = inspected.health === 'unhealthy' && before.inspected.health !== 'unhealthy';
  const isKilled = inspected.isOomKilled && !before.inspected.isOomKilled;
  return [
    isUnhealthy ? tell('container-unhealthy', name, 'its health check fails', atMs) : null,
    isKilled ? tell('container-oom', name, 'a process was killed for want of memory', atMs) : null,
  ].filter((moment) => moment !== null);
}

type Usages = { readonly answers: ReadonlyMap<string, Usage>; readonly remark: string | null };

/** From the kernel; from the engine only where none of them can be seen there. */
async function readUsages(
  root: string,
  chosen: readonly Listed[],
  find: (id: string) => Inspection | null,
  ask: (one: Listed) => Promise<Result<Usage | null, string>>,
): Promise<Usages> {
  const running: Listed[] = [];
  const answers = new Map<string, Usage>();
  for (const one of chosen) {
    const inspected = find(one.id)?.inspected;
    if (inspected === undefined || inspected.pid === 0) continue;
    running.push(one);
    const usage = readCgroup(root, { id: one.id, ...inspected });
    if (usage !== null) answers.set(one.id, usage);
  }
  if (running.length === 0 || answers.size > 0) return { answers, remark: null };
  const asked = await askEach(running, ask);
  return { answers: asked.answers, remark: asked.fault === null ? UNSEEN : `${UNSEEN}: ${asked.fault}` };
}

const UNSEEN =
  'what containers use is asked of the engine, which costs it more: their control groups cannot be seen, which takes the ' +
  '/proc and /sys/fs/cgroup of the host (with ProtectProc=default)';
