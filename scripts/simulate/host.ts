import type { HostEvent, MomentKind } from '@muster/proto/event';

import { seededRandom } from '../random.ts';
import { makeContainerModel } from './container-model.ts';
import type { FleetPlan, HostPlan } from './fleet.ts';
import { makeHostModel } from './host-model.ts';
import { makeCheckModel, makeInstanceModel } from './service-model.ts';
import { makeSheet, type Sheet } from './sheet.ts';
import type { World } from './world.ts';

/** What an agent on the host finds at a moment. */
export type Finding = {
  /** By its own clock. */
  readonly tsMs: number;
  /** One of each series; the next finding is written into the same. NaN: none. */
  readonly values: Float64Array;
  readonly events: readonly HostEvent[];
  /** How far its clock is ahead. */
  readonly clockMs: number;
  /** It finds this, and cannot send it. */
  readonly isCutOff: boolean;
};

export type SimulatedHost = Pick<Sheet, 'series' | 'described'> & {
  /** What there is at a time, later than the one before; null while the machine is off. */
  readonly read: (tMs: number) => Finding | null;
};

/** One host of a fleet: its machine, what runs there, and what is looked at from there. */
export function makeSimulatedHost(plan: HostPlan, fleet: FleetPlan, world: World, beganMs: number): SimulatedHost {
  const { seed } = fleet;
  const random = seededRandom(seed, plan.number);
  const sheet = makeSheet();
  const services = new Map(fleet.services.map((service) => [service.name, service]));
  const readHost = makeHostModel(plan, { seed, random, sheet, beganMs });
  const containers = plan.containers.map((one) => ({
    ...one,
    read: makeContainerModel(one, random, sheet),
    restarts: 0,
  }));
  const instances = plan.instances.flatMap((one) => {
    const service = services.get(one.service);
    return service === undefined ? [] : { ...one, read: makeInstanceModel(service, one, { random, sheet, seed }) };
  });
  const checks = fleet.services
    .filter(({ checkedFrom }) => checkedFrom.includes(plan.number))
    .map((service) => ({ name: service.name, read: makeCheckModel(service, random, sheet), isUp: true }));
  let lastMs: number | null = null;
  let wasOff = false;
  let oomKills = 0;

  function read(tMs: number): Finding | null {
    const effects = world.ofHost(plan, tMs);
    const elapsedS = (tMs - (lastMs ?? tMs - 10_000)) / 1_000;
    const events: HostEvent[] = [];
    const tsMs = tMs + effects.clockMs;
    const tell = (kind: MomentKind, subject?: string): void =>
      void events.push(subject === undefined ? { kind, atMs: tsMs } : { kind, atMs: tsMs, subject });
    const said = { tsMs, events, clockMs: effects.clockMs, isCutOff: effects.isCutOff };
    if (effects.isOff) {
      if (wasOff || !effects.isPlanned) {
        wasOff = true;
        return null;
      }
      wasOff = true;
      tell('shutdown');
      return { ...said, values: new Float64Array(sheet.series.length).fill(NaN) };
    }
    lastMs = tMs;
    if (wasOff) tell('boot');
    const moment = { tMs, elapsedS: wasOff ? 1 : elapsedS, effects };
    const load = readHost(moment, wasOff);
    wasOff = false;
    if (effects.oomKills > oomKills) tell('oom-kill', 'java');
    oomKills = effects.oomKills;
    for (const container of containers) {
      const ill = world.ofContainer(container.name, tMs);
      if (ill.restarts > container.restarts) tell('container-died', container.name);
      container.restarts = ill.restarts;
      container.read(moment, load, ill);
    }
    for (const instance of instances) instance.read(moment, load, world.ofService(instance.service, tMs));
    for (const check of checks) {
      const isUp = check.read(moment, world.ofService(check.name, tMs));
      if (isUp !== check.isUp) tell(isUp ? 'check-up' : 'check-down', check.name);
      check.isUp = isUp;
    }
    return { ...said, values: sheet.values() };
  }

  return { series: sheet.series, described: sheet.described, read };
}
