/**
 * Main task: watch what the function writes while it is used, and go from a line to the call that wrote it.
 *
 * @module
 */
import { FluxbaseError, type LogEntry } from "@fluxbase/sdk";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { Eraser, Pause, Play, ScrollText } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { pathOf } from "../../data/functions.ts";
import { Badge } from "../../parts/badge.tsx";
import { Button } from "../../parts/button.tsx";
import { SearchField, Select } from "../../parts/field.tsx";
import { LogLines } from "../../parts/log_lines.tsx";
import { EmptyState, ErrorNote, ErrorState, Skeleton } from "../../parts/states.tsx";
import { useClient } from "../../session/use_session.ts";
import "./logs.css";

const FIRST_COUNT = 500;
const KEPT_MAX_COUNT = 5_000;
const LEVELS = [["", "All levels"], ["debug", "Debug"], ["info", "Info"], ["warn", "Warnings"], [
  "error",
  "Errors",
]] as const;
type Level = typeof LEVELS[number][0];

export function LogsPage() {
  const place = useParams({ from: "/shell/functions/$namespace/$name" });
  const { level, text } = useSearch({ from: "/shell/functions/$namespace/$name/logs" });
  const navigate = useNavigate({ from: "/functions/$namespace/$name/logs" });
  const client = useClient();
  const filter = {
    ...(isLevel(level) ? { level } : {}),
    ...(text === undefined ? {} : { text }),
  };
  const earlier = useQuery({
    queryKey: ["function", place.namespace, place.name, "logs", filter],
    queryFn: async () => {
      const readAt = new Date().toISOString();
      return {
        readAt,
        lines: (await client.functions.getLogs(pathOf(place), { ...filter, limit: FIRST_COUNT })).toReversed(),
      };
    },
    staleTime: 0,
    gcTime: 0,
    refetchOnWindowFocus: false,
  });
  const tail = useTail({ place, filter, since: earlier.data?.readAt });
  const before = earlier.data?.lines ?? [];
  const known = new Set(before.map(({ id }) => id));
  const lines = [...(tail.isCleared ? [] : before), ...tail.lines.filter(({ id }) => !known.has(id))];
  const end = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const log = end.current?.querySelector(".log");
    if (log && tail.isRunning) log.scrollTop = log.scrollHeight;
  }, [lines.length, tail.isRunning]);

  return (
    <div className="logs">
      <div className="filters logs-filters">
        <SearchField
          label="Search messages"
          value={text ?? ""}
          onChange={(value) => void navigate({ search: (now) => ({ ...now, text: value }), replace: true })}
        />
        <Select
          label="Level"
          value={isLevel(level) ? level : ""}
          options={LEVELS}
          onChange={(value) => void navigate({ search: (now) => ({ ...now, level: value }), replace: true })}
        />
        <span className="spread row" role="status">
          {tail.isRunning
            ? <Badge tone="good">live</Badge>
            : <Badge>paused{tail.heldCount > 0 ? `, ${tail.heldCount} new` : ""}</Badge>}
          <Button
            icon={tail.isRunning ? Pause : Play}
            onClick={tail.toggle}
          >
            {tail.isRunning ? "Pause" : "Go on"}
          </Button>
          <Button kind="quiet" icon={Eraser} onClick={tail.clear}>Clear</Button>
        </span>
      </div>
      <ErrorNote error={tail.error} />
      <div className="card logs-card" ref={end}>
        {earlier.error
          ? <ErrorState error={earlier.error} onRetry={() => void earlier.refetch()} />
          : earlier.data === undefined
          ? (
            <div className="card-body">
              <Skeleton />
            </div>
          )
          : lines.length === 0
          ? (
            <EmptyState icon={ScrollText} title={tail.isCleared ? "Cleared" : "No lines yet"}>
              What the function writes to the console appears here, once its call is over.
            </EmptyState>
          )
          : <LogLines lines={lines} label="Log lines" linked />}
      </div>
    </div>
  );
}

function isLevel(text: string | undefined): text is Exclude<Level, ""> {
  return text !== undefined && text !== "" && LEVELS.some(([level]) => level === text);
}

interface TailOptions {
  readonly place: { readonly namespace: string; readonly name: string };
  readonly filter: { readonly level?: Exclude<Level, "">; readonly text?: string };
  readonly since: string | undefined;
}

const AGAIN_MS = 2_000;

/** Lines as they come. While it is paused they are held, not shown. */
function useTail({ place, filter, since }: TailOptions) {
  const client = useClient();
  const [lines, setLines] = useState<readonly LogEntry[]>([]);
  const [held, setHeld] = useState<readonly LogEntry[]>([]);
  const [isRunning, setRunning] = useState(true);
  const [isCleared, setCleared] = useState(false);
  const [error, setError] = useState<unknown>();
  const running = useRef(isRunning);
  running.current = isRunning;

  useEffect(() => {
    if (since === undefined) return;
    const left = new AbortController();
    const follow = async () => {
      while (!left.signal.aborted) {
        try {
          const options = { ...filter, since, signal: left.signal };
          for await (const line of client.functions.followLogs(pathOf(place), options)) {
            setError(undefined);
            const add = (known: readonly LogEntry[]) =>
              known.some(({ id }) => id === line.id) ? known : [...known, line].slice(-KEPT_MAX_COUNT);
            if (running.current) setLines(add);
            else setHeld(add);
          }
        } catch (failure) {
          if (left.signal.aborted) return;
          setError(failure);
          const isRefused = failure instanceof FluxbaseError && failure.status >= 400 && failure.status < 500;
          if (isRefused) return;
          await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
        }
      }
    };
    void follow();
    return () => {
      left.abort();
      setLines([]);
      setHeld([]);
      setCleared(false);
    };
  }, [client, place.namespace, place.name, filter.level, filter.text, since]);

  return {
    lines,
    heldCount: held.length,
    isRunning,
    isCleared,
    error,
    toggle() {
      if (!isRunning) {
        setLines((known) => [...known, ...held].slice(-KEPT_MAX_COUNT));
        setHeld([]);
      }
      setRunning(!isRunning);
    },
    clear() {
      setLines([]);
      setCleared(true);
    },
  };
}
