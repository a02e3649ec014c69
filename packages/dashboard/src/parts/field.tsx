/**
 * A label, what is filled in, and what is wrong with it.
 *
 * @module
 */
import { Search } from "lucide-react";
import { type InputHTMLAttributes, type ReactNode, type SelectHTMLAttributes, useEffect, useId, useState } from "react";

export interface FieldFacts {
  readonly id: string;
  readonly "aria-describedby": string | undefined;
  readonly "aria-invalid": boolean | undefined;
}

export function Field(
  { label, hint, error, children }: {
    readonly label: string;
    readonly hint?: ReactNode;
    readonly error?: string | undefined;
    readonly children: (facts: FieldFacts) => ReactNode;
  },
) {
  const id = useId();
  const about = error !== undefined || hint !== undefined ? `${id}-about` : undefined;
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {children({ id, "aria-describedby": about, "aria-invalid": error === undefined ? undefined : true })}
      {error !== undefined
        ? <p id={about} className="field-error" role="alert">{error}</p>
        : hint !== undefined && <p id={about} className="field-hint">{hint}</p>}
    </div>
  );
}

export function TextField(
  { label, hint, error, ...input }: InputHTMLAttributes<HTMLInputElement> & {
    readonly label: string;
    readonly hint?: ReactNode;
    readonly error?: string | undefined;
  },
) {
  return (
    <Field label={label} hint={hint} error={error}>
      {(facts) => <input className="input" {...facts} {...input} />}
    </Field>
  );
}

/** For filters: its label is only read out. */
export function Select<Value extends string>(
  { label, value, options, onChange, ...rest }:
    & Omit<SelectHTMLAttributes<HTMLSelectElement>, "onChange" | "value">
    & {
      readonly label: string;
      readonly value: Value;
      readonly options: readonly (readonly [value: Value, text: string])[];
      readonly onChange: (value: Value) => void;
    },
) {
  return (
    <select
      className="select"
      aria-label={label}
      value={value}
      onChange={(event) => onChange(event.currentTarget.value as Value)}
      {...rest}
    >
      {options.map(([key, text]) => <option key={key} value={key}>{text}</option>)}
    </select>
  );
}

const TYPED_MS = 250;

/** Says what is typed when the typing pauses. */
export function SearchField(
  { label, value, onChange }: {
    readonly label: string;
    readonly value: string;
    readonly onChange: (value: string) => void;
  },
) {
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  useEffect(() => {
    if (text === value) return;
    const timer = setTimeout(() => onChange(text), TYPED_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return (
    <div className="search">
      <Search className="icon" aria-hidden />
      <input
        className="input"
        type="search"
        aria-label={label}
        placeholder={label}
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
      />
    </div>
  );
}
