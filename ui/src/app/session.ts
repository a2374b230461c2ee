// The session of this tab: the key, its owner, and whether the server answers. It lives outside React, because requests
// need it and it outlives every page. No cookie: a cookie of 127.0.0.1 goes to every port of the machine.

export type Me = {
  id?: string;
  name: string;
  role: string;
  tenant: number;
  may: string[];
  expires_at?: string | null;
  server?: boolean;
};

export type Stage = "starting" | "asking" | "out" | "in";

type Say = { kind: "ask" } | { kind: "tell"; token: string } | { kind: "end"; token: string };

const KEY = "kapelle.token";
const WAIT_MS = 250;

export class Session {
  token: string | null = null;
  stage: Stage = "starting";
  /** Why the tab is out, for people. */
  why = "";
  me: Me | null = null;
  /** Since when the server does not answer; null while it does. */
  lostSince: number | null = null;
  /** A code of the address that waits for a yes, because this tab is let in already. */
  pending: string | null = null;

  private version = 0;
  private readonly listeners = new Set<() => void>();
  private channel: BroadcastChannel | null = null;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };
  readonly snapshot = (): number => this.version;

  private changed(): void {
    this.version += 1;
    for (const listener of this.listeners) listener();
  }

  /** Takes the code out of the address, or the key of this tab, or that of another tab; else shows the form. */
  async start(): Promise<void> {
    const code = /^#code=([A-Za-z0-9_-]+)$/.exec(location.hash)?.[1] ?? null;
    if (code) history.replaceState(null, "", location.pathname + location.search);
    this.token = sessionStorage.getItem(KEY);
    this.listen();
    if (!this.token) this.token = await this.fromOtherTab(code ? 80 : WAIT_MS);
    if (code && this.token) {
      this.pending = code;
      this.enter(this.token);
    } else if (code) {
      await this.redeem(code);
    } else if (this.token) {
      this.enter(this.token);
    } else {
      this.leave("");
    }
  }

  private listen(): void {
    if (typeof BroadcastChannel === "undefined") return;
    this.channel = new BroadcastChannel("kapelle");
    this.channel.addEventListener("message", ({ data }: MessageEvent<Say>) => {
      if (data.kind === "ask" && this.stage === "in" && this.token) this.say({ kind: "tell", token: this.token });
      if (data.kind === "end" && data.token === this.token) this.leave("You signed out in another tab.");
    });
  }

  private say(message: Say): void {
    this.channel?.postMessage(message);
  }

  private fromOtherTab(wait: number): Promise<string | null> {
    const channel = this.channel;
    if (!channel) return Promise.resolve(null);
    return new Promise((resolve) => {
      const done = (token: string | null): void => {
        clearTimeout(timer);
        channel.removeEventListener("message", hear);
        resolve(token);
      };
      const hear = ({ data }: MessageEvent<Say>): void => {
        if (data.kind === "tell") done(data.token);
      };
      const timer = setTimeout(() => done(null), wait);
      channel.addEventListener("message", hear);
      this.say({ kind: "ask" });
    });
  }

  /** Exchanges a one-time code for a key. */
  async redeem(code: string): Promise<void> {
    this.pending = null;
    const had = this.token;
    try {
      const answer = await fetch("/api/v1/sessions", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ code }),
        credentials: "omit",
      });
      const body = await answer.json().catch(() => ({}));
      const token = body.secret ?? body.token;
      if (answer.ok && typeof token === "string") return this.enter(token);
      if (had) return this.enter(had);
      this.leave(body.detail ?? "This link was used already, or is older than 10 minutes. Print a new one: kapelle ui");
    } catch {
      this.leave("The server cannot be reached.");
    }
  }

  dismiss(): void {
    this.pending = null;
    this.changed();
  }

  /** Lets the tab in with a key. Requests show whether it holds. */
  enter(token: string): void {
    this.token = token;
    this.stage = "in";
    this.why = "";
    sessionStorage.setItem(KEY, token);
    this.changed();
  }

  /** The server refused the key: nothing is sent any more until another one is given. */
  refused(token: string): void {
    if (token !== this.token) return;
    this.leave("This key is not valid any more: it expired or was revoked.");
  }

  /** Ends the session here and in the other tabs. */
  end(): void {
    if (this.token) this.say({ kind: "end", token: this.token });
    this.leave("You are signed out.");
  }

  private leave(why: string): void {
    this.token = null;
    this.me = null;
    this.stage = "out";
    this.why = why;
    sessionStorage.removeItem(KEY);
    this.changed();
  }

  know(me: Me): void {
    this.me = me;
    this.changed();
  }

  /** Notes whether the server answered. */
  contact(answered: boolean): void {
    if (answered === (this.lostSince === null)) return;
    this.lostSince = answered ? null : Date.now();
    this.changed();
  }

  /** Whether the key has a permission. Until the server has said, everything is shown, and the server decides. */
  may(permission: string): boolean {
    return this.me === null || this.me.may.includes(permission);
  }
}

export const session = new Session();
