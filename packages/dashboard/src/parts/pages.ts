/**
 * Lists that come page by page: the next one begins behind the last entry of the one before.
 *
 * @module
 */
import type { FluxbaseClient } from "@fluxbase/sdk";
import { type QueryKey, useInfiniteQuery } from "@tanstack/react-query";
import { useClient } from "../session/use_session.ts";

export interface Pages<Item> {
  readonly items: readonly Item[];
  readonly isLoading: boolean;
  /** Why the first page could not be read. */
  readonly error: unknown;
  readonly hasMore: boolean;
  readonly isLoadingMore: boolean;
  readonly loadMore: () => void;
  readonly retry: () => void;
}

export interface PagesOptions<Item> {
  readonly queryKey: QueryKey;
  readonly size: number;
  /** At most `size` entries, behind the one that `cursor` is of. */
  readonly read: (
    client: FluxbaseClient,
    page: { readonly cursor: string | undefined; readonly limit: number },
  ) => Promise<readonly Item[]>;
  readonly cursorOf: (item: Item) => string;
  readonly refetchEveryMs?: number;
}

export function usePages<Item>(
  { queryKey, size, read, cursorOf, refetchEveryMs }: PagesOptions<Item>,
): Pages<Item> {
  const client = useClient();
  const query = useInfiniteQuery({
    queryKey,
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam }) => read(client, { cursor: pageParam, limit: size }),
    getNextPageParam(page) {
      const last = page.at(-1);
      return page.length < size || last === undefined ? undefined : cursorOf(last);
    },
    ...(refetchEveryMs === undefined ? {} : { refetchInterval: refetchEveryMs }),
    placeholderData: (before) => before,
  });
  return {
    items: query.data?.pages.flat() ?? [],
    isLoading: query.isPending,
    error: query.data === undefined ? query.error : null,
    hasMore: query.hasNextPage,
    isLoadingMore: query.isFetchingNextPage,
    loadMore: () => void query.fetchNextPage(),
    retry: () => void query.refetch(),
  };
}
