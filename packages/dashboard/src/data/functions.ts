/**
 * What pages ask about functions, and under which keys the answers are kept.
 *
 * @module
 */
import type { FluxbaseClient } from "@fluxbase/sdk";
import { queryOptions } from "@tanstack/react-query";

export interface FunctionPlace {
  readonly namespace: string;
  readonly name: string;
}

/** As the SDK takes it. */
export function pathOf({ namespace, name }: FunctionPlace): string {
  return `${namespace}/${name}`;
}

export const FUNCTIONS_KEY = ["functions"] as const;

export function functionQuery(client: FluxbaseClient, place: FunctionPlace) {
  return queryOptions({
    queryKey: ["function", place.namespace, place.name],
    queryFn: () => client.functions.get(pathOf(place)),
  });
}

export function versionsQuery(client: FluxbaseClient, place: FunctionPlace) {
  return queryOptions({
    queryKey: ["function", place.namespace, place.name, "versions"],
    queryFn: () => client.functions.getVersions(pathOf(place)),
  });
}

export function versionQuery(client: FluxbaseClient, place: FunctionPlace, version: number) {
  return queryOptions({
    queryKey: ["function", place.namespace, place.name, "version", version],
    queryFn: () => client.functions.getVersion(pathOf(place), version),
    // A version never changes; which one is live does.
    staleTime: 60_000,
  });
}

export function namespacesQuery(client: FluxbaseClient, isAdmin: boolean) {
  return queryOptions({
    queryKey: ["namespaces"],
    queryFn: async () => {
      if (isAdmin) return await client.admin.functions.namespaces();
      const seen = await client.functions.list();
      return [...new Set(seen.map(({ namespace }) => namespace))].sort();
    },
  });
}

const DAY_MS = 86_400_000;
const DAY_FRESH_MS = 30_000;

/** Calls of the last 24 hours by the hour. */
export function dayOfQuery(client: FluxbaseClient, place: FunctionPlace, isWanted: boolean) {
  return queryOptions({
    queryKey: ["function", place.namespace, place.name, "day"],
    queryFn: () =>
      client.functions.getMetrics(pathOf(place), { from: new Date(Date.now() - DAY_MS).toISOString(), step: "1h" }),
    enabled: isWanted,
    staleTime: DAY_FRESH_MS,
  });
}

const BUSIEST_MAX_COUNT = 1_000;

/** Ids of the functions that were called in the last 24 hours; null where one may not ask. */
export function busyQuery(client: FluxbaseClient, isAdmin: boolean) {
  return queryOptions({
    queryKey: ["busy"],
    queryFn: async () => {
      const from = new Date(Date.now() - DAY_MS).toISOString();
      const { functions } = await client.admin.metrics.top({ from, limit: BUSIEST_MAX_COUNT });
      return functions.length === BUSIEST_MAX_COUNT ? null : new Set(functions.map((one) => one.function_id));
    },
    enabled: isAdmin,
    staleTime: DAY_FRESH_MS,
  });
}
