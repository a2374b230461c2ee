// Reading with a cache: TanStack Query over the typed client.
import {
  keepPreviousData,
  QueryClient,
  type UseQueryOptions,
  type UseQueryResult,
  useInfiniteQuery,
  useQuery,
} from "@tanstack/react-query";
import type { FetchResponse, MaybeOptionalInit } from "openapi-fetch";
import type { PathsWithMethod } from "openapi-typescript-helpers";
import { useMemo } from "react";
import { ApiError, api, unwrap } from "./client";
import type { Paths } from "./paths";

export const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 1_000,
      gcTime: 300_000,
      // Lists come back at once on going back; what is missing or refused is not asked again.
      retry: (failures, error) => error instanceof ApiError && error.status === 0 && failures < 2,
      refetchOnWindowFocus: true,
    },
    mutations: { retry: false },
  },
});

export type GetPath = PathsWithMethod<Paths, "get">;
export type Init<P extends GetPath> = MaybeOptionalInit<Paths[P], "get">;
type Media = `${string}/${string}`;
export type Data<P extends GetPath> = NonNullable<FetchResponse<NonNullable<Paths[P]["get"]>, Init<P>, Media>["data"]>;
export type Options = Pick<UseQueryOptions, "enabled" | "refetchInterval" | "staleTime"> & { keep?: boolean };

/** The key of what a path with its parameters gave; `[path]` alone stands for all of them. */
export function keyOf(path: string, init?: unknown): unknown[] {
  const params = (init as { params?: unknown } | undefined)?.params;
  return params === undefined ? [path] : [path, params];
}

export function read<P extends GetPath>(path: P, init?: Init<P>, signal?: AbortSignal): Promise<Data<P>> {
  const asked = (
    api.GET as (path: string, init: object) => Promise<{ data?: Data<P>; error?: unknown; response: Response }>
  )(path, { ...(init as object), signal });
  return unwrap(asked);
}

/** Reads a route. `keep`: while another page loads, the one before stays. */
export function useGet<P extends GetPath>(
  path: P,
  init?: Init<P>,
  options: Options = {},
): UseQueryResult<Data<P>, ApiError> {
  const { keep, ...rest } = options;
  return useQuery({
    queryKey: keyOf(path, init),
    queryFn: ({ signal }) => read(path, init, signal),
    ...(keep ? { placeholderData: keepPreviousData } : {}),
    ...(rest as object),
  }) as UseQueryResult<Data<P>, ApiError>;
}

/** Marks what was read of these paths as old, so that what is on screen is read again. */
export function reread(...paths: string[]): void {
  for (const path of paths) void queries.invalidateQueries({ queryKey: [path] });
}

export type Rows<R> = {
  data: R[] | undefined;
  error: unknown;
  isPending: boolean;
  refetch: () => unknown;
  more: { load: () => void; busy: boolean } | null;
};

/** Reads a list page by page. While filters change, the rows before stay. */
export function useRows<P extends GetPath, R>(
  path: P,
  init: { params?: object },
  pick: (page: Data<P>) => readonly R[],
  options: { refetchInterval?: number; enabled?: boolean } = {},
): Rows<R> {
  const params = (init.params ?? {}) as { query?: object };
  const asked = useInfiniteQuery({
    queryKey: [path, "rows", params],
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam, signal }) => {
      const query = { limit: 100, ...params.query, ...(pageParam ? { cursor: pageParam } : {}) };
      return read(path, { params: { ...params, query } } as unknown as Init<P>, signal);
    },
    getNextPageParam: (page) => (page as { next_cursor?: string | null }).next_cursor ?? undefined,
    placeholderData: keepPreviousData,
    ...options,
  });
  const data = useMemo(() => asked.data?.pages.flatMap((page) => pick(page)), [asked.data, pick]);
  const load = (): void => void asked.fetchNextPage();
  return {
    data,
    error: asked.error,
    isPending: asked.isPending,
    refetch: asked.refetch,
    more: asked.hasNextPage ? { load, busy: asked.isFetchingNextPage } : null,
  };
}
