/**
 * Lists that the server gives whole: shown part by part, since the browser is slow with thousands of rows.
 *
 * @module
 */
import { type FluxbaseClient } from "@fluxbase/sdk";
import { type QueryKey, useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { useClient } from "../session/use_session.ts";
import type { Pages } from "./pages.ts";

const PART_COUNT = 100;

export function useWholeList<Item>(
  { queryKey, read, keep, refetchEveryMs }: {
    readonly queryKey: QueryKey;
    readonly read: (client: FluxbaseClient) => Promise<readonly Item[]>;
    /** Which ones are shown. */
    readonly keep?: (item: Item) => boolean;
    readonly refetchEveryMs?: number;
  },
): Pages<Item> {
  const client = useClient();
  const [count, setCount] = useState(PART_COUNT);
  useEffect(() => setCount(PART_COUNT), [JSON.stringify(queryKey)]);
  const query = useQuery({
    queryKey,
    queryFn: () => read(client),
    ...(refetchEveryMs === undefined ? {} : { refetchInterval: refetchEveryMs }),
  });
  const all = keep === undefined ? query.data ?? [] : (query.data ?? []).filter(keep);
  return {
    items: all.slice(0, count),
    isLoading: query.isPending,
    error: query.data === undefined ? query.error : null,
    hasMore: count < all.length,
    isLoadingMore: false,
    loadMore: () => setCount((before) => before + PART_COUNT),
    retry: () => void query.refetch(),
  };
}
