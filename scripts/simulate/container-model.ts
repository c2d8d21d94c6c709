import type { ContainerEffects } from './effects.ts';
import type { ContainerPlan } from './fleet.ts';
import { rise, round, type Load, type Moment } from './model.ts';
import { makeDrift } from './rhythm.ts';
import type { Sheet } from './sheet.ts';

/** A container: what it takes, what it passes on, and how often it was started again. */
export function makeContainerModel(plan: ContainerPlan, random: () => number, sheet: Sheet) {
  const labels = { 'container.name': plan.name };
  const direction = (name: string) => ({ ...labels, 'network.io.direction': name });
  const places = {
    info: sheet.add('container.info', {
      ...labels,
      'container.id': Array.from({ length: 12 }, () => Math.floor(16 * random()).toString(16)).join(''),
      'container.image.name': plan.image,
      'container.image.tags': plan.tag,
    }),
    running: sheet.add('container.state', { ...labels, 'container.state': 'running' }),
    exited: sheet.add('container.state', { ...labels, 'container.state': 'exited' }),
    restarts: sheet.add('container.restart.count', labels),
    uptime: sheet.add('container.uptime', labels),
    cpu: sheet.add('container.cpu.time', labels),
    usage: sheet.add('container.memory.usage', labels),
    workingSet: sheet.add('container.memory.working_set', labels),
    limit: sheet.add('container.memory.limit', labels),
    share: sheet.add('container.memory.utilization', labels),
    received: sheet.add('container.network.io', direction('receive')),
    sent: sheet.add('container.network.io', direction('transmit')),
  };
  const habit = 0.2 + 0.5 * random();
  const drift = makeDrift(3_600, random);
  let restarts = 0;
  let startedMs: number | null = null;

  return function read({ tMs, elapsedS }: Moment, { demand }: Load, ill: ContainerEffects): void {
    const values = sheet.values();
    const reading = { values, elapsedS, random };
    startedMs ??= tMs - 10 * 86_400_000 * random();
    if (ill.restarts > restarts) startedMs = tMs;
    restarts = ill.restarts;
    const isUp = !ill.isDown;
    values[places.info] = 1;
    values[places.running] = Number(isUp);
    values[places.exited] = Number(!isUp);
    values[places.restarts] = restarts;
    const memory = isUp
      ? Math.min(plan.limitBytes, plan.limitBytes * (0.3 + 0.3 * habit) * (1 + 0.04 * drift(elapsedS)))
      : NaN;
    values[places.uptime] = isUp ? round((tMs - startedMs) / 1_000, 0) : NaN;
    values[places.usage] = round(memory * 1.1, 0);
    values[places.workingSet] = round(memory, 0);
    values[places.limit] = plan.limitBytes;
    values[places.share] = round(memory / plan.limitBytes, 4);
    if (!isUp) return;
    rise(reading, places.cpu, habit * (0.05 + 0.4 * demand) * elapsedS, 2);
    rise(reading, places.received, habit * (500 + 8e5 * demand) * elapsedS, 0);
    rise(reading, places.sent, habit * (500 + 2e6 * demand) * elapsedS, 0);
  };
}
