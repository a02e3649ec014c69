/**
 * A part that is fetched when it is wanted, so that it is none of what the first page waits for.
 *
 * @module
 */
import { useEffect, useState } from "react";

/** Undefined until it has come. */
export function useLoaded<Part>(isWanted: boolean, load: () => Promise<Part>): Part | undefined {
  const [part, setPart] = useState<{ readonly value: Part }>();
  useEffect(() => {
    if (!isWanted || part !== undefined) return;
    let isGone = false;
    void load().then((value) => {
      if (!isGone) setPart({ value });
    });
    return () => {
      isGone = true;
    };
  }, [isWanted]);
  return part?.value;
}
