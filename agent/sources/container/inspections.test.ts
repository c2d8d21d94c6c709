import { expect, test } from 'vitest';

import type { ContainerHealth, ContainerState, Inspected, Listed } from './answers.ts';
import { makeInspections } from './inspections.ts';

const MINUTE_MS = 60_000;
const INSPECTED: Inspected = {
  pid: 7,
  startedMs: 0,
  restarts: 0,
  exitCode: 0,
  isOomKilled: false,
  health: null,
  hasNetwork: true,
  memoryLimitBytes: null,
  cpuLimit: null,
};

function say(status: string, state: ContainerState = 'running', health: ContainerHealth | null = null): Listed {
  return {
    id: 'a',
    name: 'a',
    image: '',
    createdMs: 0,
    state,
    status,
    health,
    composeProject: null,
    composeService: null,
  };
}

test.for([
  // what the list said, what it says, how much later, what an inspection said; whether it is asked about
  ['the same', say('Up 2 hours'), say('Up 2 hours'), 0, INSPECTED, false],
  ['another age', say('Up 2 hours'), say('Up 3 hours'), 0, INSPECTED, true],
  ['another state', say('Up 2 hours'), say('Up 2 hours', 'paused'), 0, INSPECTED, true],
  ['another health', say('Up 2 hours'), say('Up 2 hours', 'running', 'unhealthy'), 0, INSPECTED, true],
  ['an age in seconds, each time', say('Up 9 seconds'), say('Up 9 seconds'), 0, INSPECTED, true],
  ['less than one', say('Up Less than a second'), say('Up Less than a second'), 0, INSPECTED, true],
  [
    'one that restarts',
    say('Restarting (1) 1 second ago', 'restarting'),
    say('Restarting (1) 1 second ago', 'restarting'),
    0,
    INSPECTED,
    true,
  ],
  [
    'one that has ended',
    say('Exited (1) 5 seconds ago', 'exited'),
    say('Exited (1) 5 seconds ago', 'exited'),
    0,
    INSPECTED,
    false,
  ],
  ['the same for long', say('Up 2 weeks'), say('Up 2 weeks'), 10 * MINUTE_MS, INSPECTED, true],
  [
    'the same, and hides a health',
    say('Up 2 weeks'),
    say('Up 2 weeks'),
    MINUTE_MS / 2,
    { ...INSPECTED, health: 'healthy' },
    true,
  ],
  ['the same, before the clock was set back', say('Up 2 weeks'), say('Up 2 weeks'), -1, INSPECTED, true],
] as const)('a container of which the list says %s', ([, before, now, laterMs, inspected, isAsked]) => {
  const inspections = makeInspections();
  expect(inspections.choose([before], new Set(), 0)).toEqual([before]);
  inspections.keep(before, inspected, 0);
  expect(inspections.choose([now], new Set(), laterMs)).toEqual(isAsked ? [now] : []);
  expect(inspections.choose([now], new Set(['a']), laterMs)).toEqual([now]);
  inspections.prune([]);
  expect(inspections.find('a')).toBe(null);
});

test('of many none waits for ever', () => {
  const inspections = makeInspections();
  const many = Array.from({ length: 130 }, (_, i) => ({ ...say('Up 1 second'), id: `${i}` }));
  const asked = new Set<string>();
  for (let i = 0; i < 3; i += 1) {
    const due = inspections.choose(many, new Set(), i);
    expect(due.length).toBeLessThanOrEqual(50);
    for (const one of due) {
      asked.add(one.id);
      inspections.keep(one, INSPECTED, i + 1);
    }
  }
  expect(asked.size).toBe(130);
});
