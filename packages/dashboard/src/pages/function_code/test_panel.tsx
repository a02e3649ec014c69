/**
 * Main task: call the function as a caller would, and see what it answers, what it took and what it logged.
 *
 * @module
 */
import { createClient, type FunctionDetails } from "@fluxbase/sdk";
import { Bookmark, Play, Square } from "lucide-react";
import { useRef, useState } from "react";
import {
  CALLERS,
  callFunction,
  type CallRecord,
  keepRequests,
  METHODS,
  readRequests,
  recordOf,
  type SavedRequests,
  type TestAnswer,
  type TestRequest,
} from "../../data/test_calls.ts";
import { Button, IconButton } from "../../parts/button.tsx";
import { Field, Select, TextField } from "../../parts/field.tsx";
import { Menu } from "../../parts/menu.tsx";
import { Note } from "../../parts/note.tsx";
import { ErrorNote } from "../../parts/states.tsx";
import { SERVER_URL } from "../../server.ts";
import { session } from "../../session/session.ts";
import { AnswerView } from "./answer_view.tsx";

const CALLER_TEXTS: Readonly<Record<TestRequest["caller"], string>> = {
  me: "as yourself",
  anonymous: "as nobody",
  user: "as a user",
  key: "with a key",
};

export function TestPanel({ fn }: { readonly fn: FunctionDetails }) {
  const [requests, setRequests] = useState<SavedRequests>(() => readRequests(fn));
  const [key, setKey] = useState("");
  const [answer, setAnswer] = useState<TestAnswer>();
  const [record, setRecord] = useState<CallRecord>();
  const [error, setError] = useState<unknown>();
  const running = useRef<AbortController>(undefined);
  const [isRunning, setRunning] = useState(false);
  const request = requests.last;
  const isBodiless = request.method === "GET" || request.method === "HEAD";

  function keep(next: SavedRequests): void {
    setRequests(next);
    keepRequests(fn, next);
  }
  const change = (part: Partial<TestRequest>) => keep({ ...requests, last: { ...request, ...part } });

  async function send(): Promise<void> {
    running.current?.abort();
    const current = running.current = new AbortController();
    setRunning(true);
    setAnswer(undefined);
    setRecord(undefined);
    setError(undefined);
    try {
      const whole = await callFunction(fn, request, {
        me: meWithoutRepeating(),
        key: key.trim(),
        signal: current.signal,
        onProgress: (so) => running.current === current && setAnswer(so),
      });
      if (running.current !== current) return;
      setAnswer(whole);
      setRecord(await recordOf(session.client, fn, whole.requestId).catch(() => undefined));
    } catch (failure) {
      if (!current.signal.aborted) setError(failure);
    } finally {
      if (running.current === current) setRunning(false);
    }
  }

  const names = Object.keys(requests.named);
  return (
    <form
      className="test"
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      <div className="test-head">
        <h2>Test</h2>
        <span className="spread" />
        <Menu
          trigger={<button type="button" className="button" data-kind="quiet" data-small>Requests</button>}
          entries={[
            { label: names.length === 0 ? "None saved yet" : "Saved" },
            ...names.map((name) => ({
              text: name,
              onSelect: () => keep({ ...requests, last: requests.named[name] ?? request }),
            })),
            "line",
            {
              text: "Save this one",
              icon: Bookmark,
              onSelect: () => {
                const name = `${request.method} ${request.path || "/"} ${CALLER_TEXTS[request.caller]}`;
                keep({ ...requests, named: { ...requests.named, [name]: request } });
              },
            },
          ]}
        />
      </div>
      <div className="test-line">
        <Select
          label="Method"
          value={request.method}
          options={METHODS.map((method) => [method, method] as const)}
          onChange={(method) => change({ method })}
        />
        <input
          className="input mono"
          aria-label="Path and query"
          placeholder="/"
          value={request.path}
          spellCheck={false}
          onChange={(event) => change({ path: event.currentTarget.value })}
        />
        {isRunning
          ? <IconButton kind="plain" icon={Square} label="Stop" onClick={() => running.current?.abort()} />
          : <Button kind="primary" type="submit" icon={Play}>Send</Button>}
      </div>
      <Select
        label="Caller"
        value={request.caller}
        options={CALLERS.map((caller) => [caller, `Call ${CALLER_TEXTS[caller]}`] as const)}
        onChange={(caller) => change({ caller })}
      />
      {request.caller === "user" && (
        <TextField
          label="E-mail of the user"
          autoComplete="off"
          required
          value={request.user}
          hint="You act as this user for a few minutes. It is written to the audit log."
          onChange={(event) => change({ user: event.currentTarget.value })}
        />
      )}
      {request.caller === "key" && (
        <TextField
          label="Key"
          type="password"
          autoComplete="off"
          value={key}
          hint="It is not stored."
          onChange={(event) => setKey(event.currentTarget.value)}
        />
      )}
      <Field label="Headers">
        {(facts) => (
          <textarea
            {...facts}
            className="textarea"
            rows={2}
            spellCheck={false}
            placeholder="x-name: value"
            value={request.headers}
            onChange={(event) => change({ headers: event.currentTarget.value })}
          />
        )}
      </Field>
      {!isBodiless && (
        <Field label="Body">
          {(facts) => (
            <textarea
              {...facts}
              className="textarea"
              rows={6}
              spellCheck={false}
              value={request.body}
              onChange={(event) => change({ body: event.currentTarget.value })}
            />
          )}
        </Field>
      )}
      {!fn.enabled && <Note tone="warn">The function is disabled: calls get 403.</Note>}
      <ErrorNote error={error} />
      {answer && <AnswerView answer={answer} record={record} />}
    </form>
  );
}

/** What is refused is to be seen, not sent again. */
function meWithoutRepeating() {
  return session.who?.kind === "key" ? session.client : createClient(SERVER_URL, undefined, { retries: 0 });
}
