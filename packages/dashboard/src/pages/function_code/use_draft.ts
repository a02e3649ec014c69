/**
 * The files of a function while they are written: what differs from the version they began from, and deploying it.
 *
 * @module
 */
import { FluxbaseError, type FunctionDetails } from "@fluxbase/sdk";
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { areSame, type Draft, type Files, keepDraft, readDraft } from "../../data/drafts.ts";
import { functionQuery, FUNCTIONS_KEY, pathOf } from "../../data/functions.ts";
import { toast } from "../../parts/toasts.tsx";
import { useClient } from "../../session/use_session.ts";

export interface DraftOfFunction {
  readonly files: Files;
  readonly base: number;
  readonly baseFiles: Files;
  readonly isChanged: boolean;
  readonly changedPaths: ReadonlySet<string>;
  /** Somebody else has deployed since. */
  readonly theirs: FunctionDetails | undefined;
  readonly isDeploying: boolean;
  set(files: Files): void;
  /** `over`: the version that it is to replace, where that is not the one it began from. */
  deploy(options?: { readonly over?: number }): Promise<void>;
  takeTheirs(): void;
}

export function useDraft(fn: FunctionDetails): DraftOfFunction {
  const client = useClient();
  const queries = useQueryClient();
  const [draft, setDraft] = useState<Draft>(() => readDraft(fn) ?? draftOf(fn));
  const [isDeploying, setDeploying] = useState(false);
  const latest = useRef(draft);
  const isChanged = !areSame(draft.files, draft.baseFiles);
  const isBehind = fn.version !== draft.base;

  function change(next: Draft): void {
    latest.current = next;
    setDraft(next);
    const isKept = keepDraft(fn, areSame(next.files, next.baseFiles) ? undefined : next);
    if (!isKept) toast.failed("Not kept for a reload", new Error("the browser has no room for it"));
  }

  // Whoever has written nothing sees what is there now.
  useEffect(() => {
    if (isBehind && !isChanged && !isDeploying) change(draftOf(fn));
  }, [fn.version]);

  async function deploy({ over }: { readonly over?: number } = {}): Promise<void> {
    const sent = latest.current;
    setDeploying(true);
    try {
      const saved = await client.functions.update(pathOf(fn), { files: sent.files }, { if_version: over ?? sent.base });
      // What was typed meanwhile is still to be deployed.
      change({ ...draftOf(saved), files: latest.current.files === sent.files ? saved.files : latest.current.files });
      queries.setQueryData(functionQuery(client, fn).queryKey, saved);
      void queries.invalidateQueries({ queryKey: FUNCTIONS_KEY });
      void queries.invalidateQueries({ queryKey: ["function", fn.namespace, fn.name, "versions"] });
      if (saved.is_bundled) toast.done(`Deployed version ${saved.version} of ${fn.name}`);
    } catch (error) {
      const isConflict = error instanceof FluxbaseError && error.code === "VERSION_CONFLICT";
      // The page shows both, and asks.
      if (isConflict) await queries.invalidateQueries({ queryKey: functionQuery(client, fn).queryKey });
      else toast.failed(`Cannot deploy ${fn.name}`, error);
    } finally {
      setDeploying(false);
    }
  }

  const { files, baseFiles } = draft;
  return {
    files,
    baseFiles,
    base: draft.base,
    isChanged,
    changedPaths: new Set(Object.keys(files).filter((path) => files[path] !== baseFiles[path])),
    theirs: isBehind && isChanged && !isDeploying ? fn : undefined,
    isDeploying,
    set: (next) => change({ ...latest.current, files: next }),
    deploy,
    takeTheirs: () => change(draftOf(fn)),
  };
}

function draftOf({ version, files }: FunctionDetails): Draft {
  return { base: version, baseFiles: files, files };
}
