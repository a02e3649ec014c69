/**
 * Buttons, and links that look like one.
 *
 * @module
 */
import { Link, type LinkComponentProps } from "@tanstack/react-router";
import { LoaderCircle, type LucideIcon } from "lucide-react";
import type { ButtonHTMLAttributes, ReactNode, Ref } from "react";

export type ButtonKind = "plain" | "primary" | "danger" | "quiet";

interface Look {
  readonly kind?: ButtonKind;
  readonly icon?: LucideIcon;
  readonly small?: boolean;
}

export interface ButtonProps extends Look, ButtonHTMLAttributes<HTMLButtonElement> {
  /** Its work is under way. */
  readonly busy?: boolean;
  readonly ref?: Ref<HTMLButtonElement>;
}

export function Button({ kind = "plain", icon: Icon, small, busy = false, disabled, children, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      className="button"
      data-kind={kind}
      data-small={small || undefined}
      disabled={disabled || busy}
      aria-busy={busy || undefined}
      {...rest}
    >
      {busy ? <LoaderCircle className="icon spin" aria-hidden /> : Icon && <Icon className="icon" aria-hidden />}
      {children}
    </button>
  );
}

/** Its label is read out, and shown when it is pointed at. */
export function IconButton(
  { label, icon: Icon, kind = "quiet", small, ...rest }: Omit<ButtonProps, "children" | "icon"> & {
    readonly label: string;
    readonly icon: LucideIcon;
  },
) {
  return (
    <button
      type="button"
      className="button"
      data-kind={kind}
      data-icon-only
      data-small={small || undefined}
      data-tip={label}
      aria-label={label}
      {...rest}
    >
      <Icon className="icon" aria-hidden />
    </button>
  );
}

export function ButtonLink(
  { kind = "plain", icon: Icon, small, children, ...rest }: Look & LinkComponentProps & {
    readonly children?: ReactNode;
  },
) {
  return (
    <Link className="button" data-kind={kind} data-small={small || undefined} {...rest}>
      {Icon && <Icon className="icon" aria-hidden />}
      {children}
    </Link>
  );
}
