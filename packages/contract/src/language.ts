/**
 * What an editor and the server say to each other about the source that is open, one JSON text for each message.
 *
 * @module
 */

/** Both count from 0; a character is a unit of UTF-16. */
export interface LanguagePlace {
  readonly line: number;
  readonly character: number;
}

export interface LanguageProblem {
  readonly message: string;
  readonly severity: "error" | "warning" | "info" | "hint";
  /** Of TypeScript a number, such as `2322`. */
  readonly code: string;
  readonly from: LanguagePlace;
  readonly to: LanguagePlace;
}

export interface LanguageCompletion {
  readonly label: string;
  /** Such as `function` or `property`. */
  readonly kind: string;
  readonly detail: string;
  /** The text to put in. */
  readonly insert: string;
  /** What the text replaces; null: the word before the cursor. */
  readonly replaces: { readonly from: LanguagePlace; readonly to: LanguagePlace } | null;
  /** Orders them. */
  readonly order: string;
}

/** Markdown, of which nothing is to be trusted: it holds what authors of packages write. */
export interface LanguageHover {
  readonly markdown: string;
}

export interface LanguageSignatures {
  readonly signatures: readonly {
    readonly label: string;
    readonly markdown: string;
    /** Where each parameter stands in the label. */
    readonly parameters: readonly (readonly [from: number, to: number])[];
  }[];
  readonly active: number;
  readonly activeParameter: number;
}

export interface LanguageAnswer {
  readonly problems: readonly LanguageProblem[];
  /** Of more there are, the first that fit the word before the cursor. */
  readonly completions: { readonly items: readonly LanguageCompletion[]; readonly isCut: boolean };
  readonly details: LanguageHover | null;
  readonly hover: LanguageHover | null;
  readonly signatures: LanguageSignatures | null;
  /** The whole file, in the form of `deno fmt`; null: it is. */
  readonly format: string | null;
}

export type LanguageAsk =
  | { readonly what: "problems" | "format"; readonly path: string }
  | { readonly what: "completions" | "hover" | "signatures"; readonly path: string; readonly place: LanguagePlace }
  /** More about one of the completions that were given last. */
  | { readonly what: "details"; readonly index: number };

export type LanguageRequest =
  /** The source as it is now: the first time all files, then those that changed; null for one that is gone. */
  | { readonly type: "files"; readonly entry: string; readonly files: Readonly<Record<string, string | null>> }
  | ({ readonly type: "ask"; readonly id: number } & LanguageAsk);

export type LanguageReply =
  | { readonly type: "ready" }
  | { readonly type: "answer"; readonly id: number; readonly result: LanguageAnswer[LanguageAsk["what"]] }
  /** This question has no answer; others may. */
  | { readonly type: "failed"; readonly id: number; readonly message: string }
  /** Packages that the source names are being fetched, or are there now: then problems may be others. */
  | { readonly type: "packages"; readonly state: "fetching" | "fetched" }
  /** The session is over, and the connection after it. */
  | {
    readonly type: "ended";
    readonly reason: "idle" | "busy" | "unavailable" | "died" | "credential" | "message" | "stopping";
    readonly message: string;
  };
