/**
 * The frame of the pages before one is signed in.
 *
 * @module
 */
import type { ReactNode } from "react";
import { Brand } from "../../shell/brand.tsx";
import "../../shell/shell.css";

export function Gate({ children }: { readonly children: ReactNode }) {
  return (
    <main className="gate">
      <div className="gate-box">
        <Brand />
        {children}
      </div>
    </main>
  );
}
