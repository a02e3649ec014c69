/**
 * Main task: e-mail, password, in. Or a key, for those who have one.
 *
 * @module
 */
import { useMutation, useQuery } from "@tanstack/react-query";
import { Link, Navigate, useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { Button } from "../../parts/button.tsx";
import { TextField } from "../../parts/field.tsx";
import { useTitle } from "../../parts/page.tsx";
import { ErrorNote } from "../../parts/states.tsx";
import { session } from "../../session/session.ts";
import { useClient, useWho } from "../../session/use_session.ts";
import { forgetLinkToken, takeLinkToken } from "../../session/link_token.ts";
import { Gate } from "./gate.tsx";

export function SignInPage() {
  useTitle("Sign in");
  const client = useClient();
  const who = useWho();
  const { to } = useSearch({ from: "/sign-in" });
  const navigate = useNavigate();
  const [way, setWay] = useState<"admin" | "key">("admin");
  const setup = useQuery({ queryKey: ["needs-setup"], queryFn: () => client.auth.needsSetup() });
  const signIn = useMutation({
    mutationFn: async (fields: FormData) => {
      const text = (name: string) => String(fields.get(name) ?? "");
      if (way === "key") await session.useKey(text("key").trim());
      else await session.signIn({ email: text("email").trim(), password: text("password") });
    },
    onSuccess: () => navigate({ to: to ?? "/", replace: true }),
  });
  const link = useMutation({
    mutationFn: () => {
      const token = takeLinkToken();
      // It is good once.
      forgetLinkToken();
      return session.useLink(token);
    },
    onSuccess: () => navigate({ to: to ?? "/", replace: true }),
  });
  const { mutate: useLink } = link;
  const isByLink = setup.data === false && who === null && takeLinkToken() !== "";
  useEffect(() => {
    if (isByLink) useLink();
  }, [isByLink, useLink]);
  if (who !== null && !signIn.isPending) return <Navigate to={to ?? "/"} replace />;
  // The link of the terminal brings the token along.
  if (setup.data === true && takeLinkToken() !== "") return <Navigate to="/set-up" replace />;
  return (
    <Gate>
      <form
        className="card"
        onSubmit={(event) => {
          event.preventDefault();
          signIn.mutate(new FormData(event.currentTarget));
        }}
      >
        <h1>{way === "admin" ? "Sign in" : "Use a key"}</h1>
        {setup.data === true && way === "admin" && (
          <p className="muted">
            This server has no admin yet. <Link className="link" to="/set-up">Set up the first one</Link>
          </p>
        )}
        {way === "admin"
          ? (
            <>
              <TextField label="E-mail" name="email" type="email" autoComplete="username" required autoFocus />
              <TextField label="Password" name="password" type="password" autoComplete="current-password" required />
            </>
          )
          : (
            <TextField
              label="Client key or service key"
              name="key"
              type="password"
              autoComplete="off"
              required
              autoFocus
              hint="You can do what its scopes and namespaces allow. It stays in this tab."
            />
          )}
        <ErrorNote error={signIn.error ?? link.error} />
        <Button kind="primary" type="submit" busy={signIn.isPending || link.isPending}>
          {way === "admin" ? "Sign in" : "Continue"}
        </Button>
      </form>
      <p className="gate-foot">
        <Button
          kind="quiet"
          onClick={() => {
            signIn.reset();
            setWay(way === "admin" ? "key" : "admin");
          }}
        >
          {way === "admin" ? "Use a key instead" : "Sign in with a password instead"}
        </Button>
      </p>
    </Gate>
  );
}
