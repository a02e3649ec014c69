/**
 * Light or dark: as the system is, or as was chosen here.
 *
 * @module
 */
export type Theme = "system" | "light" | "dark";

const PLACE = "fluxbase.dashboard.theme";
const listeners = new Set<() => void>();

export const theme = {
  get(): Theme {
    const kept = localStorage.getItem(PLACE);
    return kept === "light" || kept === "dark" ? kept : "system";
  },
  set(next: Theme): void {
    if (next === "system") localStorage.removeItem(PLACE);
    else localStorage.setItem(PLACE, next);
    theme.apply();
    for (const listener of listeners) listener();
  },
  apply(): void {
    const chosen = theme.get();
    if (chosen === "system") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = chosen;
  },
  /** Also when the system changes; for what is drawn and not styled. */
  subscribe(listener: () => void): () => void {
    const system = matchMedia("(prefers-color-scheme: dark)");
    listeners.add(listener);
    system.addEventListener("change", listener);
    return () => {
      listeners.delete(listener);
      system.removeEventListener("change", listener);
    };
  },
  isDark(): boolean {
    const chosen = theme.get();
    return chosen === "dark" || (chosen === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
  },
};
