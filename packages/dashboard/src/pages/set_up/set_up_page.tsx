/**
 * Main task: make the first admin of a new server.
 *
 * @module
 */
import { useMutation } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { Button } from "../../parts/button.tsx";
import { TextField } from "../../parts/field.tsx";
import { useTitle } from "../../parts/page.tsx";
import { ErrorNote } from "../../parts/states.tsx";
import { session } from "../../session/session.ts";
import { Gate } from "../sign_in/gate.tsx";
import { forgetLinkToken, takeLinkToken } from "../../session/link_token.ts";

const PASSWORD_MIN_CHARACTERS = 8;

export function SetUpPage() {
  useTitle("Set up");
  const navigate = useNavigate();
  const setUp = useMutation({
    mutationFn: async (fields: FormData) => {
      const text = (name: string) => String(fields.get(name) ?? "");
      await session.setUp({
        email: text("email").trim(),
        password: text("password"),
        setup_token: text("setup_token").trim(),
      });
    },
    onSuccess: () => {
      // It was good for this, and is no link to sign in with.
      forgetLinkToken();
      return navigate({ to: "/", replace: true });
    },
  });
  return (
    <Gate>
      <form
        className="card"
        onSubmit={(event) => {
          event.preventDefault();
          setUp.mutate(new FormData(event.currentTarget));
        }}
      >
        <div>
          <h1>Set up the first admin</h1>
          <p className="muted">Only once, and only with the token of this server.</p>
        </div>
        <TextField label="E-mail" name="email" type="email" autoComplete="username" required autoFocus />
        <TextField
          label="Password"
          name="password"
          type="password"
          autoComplete="new-password"
          minLength={PASSWORD_MIN_CHARACTERS}
          required
          hint={`At least ${PASSWORD_MIN_CHARACTERS} characters.`}
        />
        <TextField
          label="Setup token"
          name="setup_token"
          type="password"
          autoComplete="off"
          required
          defaultValue={takeLinkToken()}
          hint={
            <>
              <code>FLUXBASE_SETUP_TOKEN</code> of the server, or of <code>keys.env</code> in its data folder.
            </>
          }
        />
        <ErrorNote error={setUp.error} />
        <Button kind="primary" type="submit" busy={setUp.isPending}>Make the admin</Button>
      </form>
      <p className="gate-foot small">
        <Link className="link" to="/sign-in">Sign in instead</Link>
      </p>
    </Gate>
  );
}
