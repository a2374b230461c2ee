// The one socket of a tab, outside of React. Frames are gathered and handed to their readers once a drawn frame;
// a hidden tab keeps no frames and has its readers read again when it is shown.
import { api, unwrap } from "../api/client";
import { session } from "../app/session";
import type { LiveFrame } from "./frames";

export type Reader = (frames: LiveFrame[]) => void;

const FIRST_WAIT = 500;
const LONGEST_WAIT = 8_000;
/** Frames of a topic that are kept until the next drawn frame; beyond them the topic is read again. */
const KEPT = 2_000;

export class Hub {
  private readonly readers = new Map<string, Set<Reader>>();
  private readonly waiting = new Map<string, LiveFrame[]>();
  private socket: WebSocket | null = null;
  private cursor: string | undefined;
  private wait = FIRST_WAIT;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private drawn = 0;
  private opening = false;
  /** The server has no live route: pages read at intervals. */
  missing = false;

  /** Whether frames come at the moment. */
  get isOpen(): boolean {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  /** Reads a topic until the returned function is called. */
  read(topic: string, reader: Reader): () => void {
    const had = this.readers.get(topic);
    if (had) had.add(reader);
    else {
      this.readers.set(topic, new Set([reader]));
      this.tell({ subscribe: [topic] });
    }
    void this.open();
    return () => {
      const all = this.readers.get(topic);
      all?.delete(reader);
      if (all?.size === 0) {
        this.readers.delete(topic);
        this.waiting.delete(topic);
        this.tell({ unsubscribe: [topic] });
      }
    };
  }

  private tell(message: object): void {
    if (this.isOpen) this.socket?.send(JSON.stringify(message));
  }

  async open(): Promise<void> {
    if (this.socket || this.opening || this.missing || session.stage !== "in" || this.readers.size === 0) return;
    this.opening = true;
    try {
      const { ticket } = await unwrap(api.POST("/api/v1/tickets"));
      const scheme = location.protocol === "https:" ? "wss" : "ws";
      const socket = new WebSocket(`${scheme}://${location.host}/api/v1/live?ticket=${encodeURIComponent(ticket)}`);
      this.socket = socket;
      let opened = false;
      socket.addEventListener("open", () => {
        opened = true;
        this.wait = FIRST_WAIT;
        session.contact(true);
        socket.send(JSON.stringify({ subscribe: [...this.readers.keys()], cursor: this.cursor }));
      });
      socket.addEventListener("message", ({ data }) => this.take(JSON.parse(String(data)) as LiveFrame));
      socket.addEventListener("close", ({ code }) => this.closed(opened, code));
    } catch {
      this.again();
    } finally {
      this.opening = false;
    }
  }

  private closed(opened: boolean, code: number): void {
    this.socket = null;
    if (code === 1008) {
      void this.check();
      return;
    }
    if (!opened) void this.probe();
    if (opened) void this.check();
    this.again();
  }

  /** Asks whether the key still holds and the server still answers; the session notes both. */
  private async check(): Promise<void> {
    await api.GET("/api/v1/me").catch(() => undefined);
  }

  /** A socket that never opened: the server is away, or it has no such route. */
  private async probe(): Promise<void> {
    const answer = await fetch("/api/v1/live", { headers: { authorization: `Bearer ${session.token}` } }).catch(
      () => null,
    );
    if (answer?.status === 404) this.missing = true;
    else session.contact(answer !== null);
  }

  private again(): void {
    clearTimeout(this.timer);
    if (session.stage !== "in") return;
    this.timer = setTimeout(() => void this.open(), this.wait);
    this.wait = Math.min(LONGEST_WAIT, this.wait * 1.7);
  }

  private take(frame: LiveFrame): void {
    if (frame.cursor) this.cursor = frame.cursor;
    if (!this.readers.has(frame.topic)) return;
    const kept = this.waiting.get(frame.topic) ?? [];
    if (document.hidden || kept.length >= KEPT) this.waiting.set(frame.topic, [{ topic: frame.topic, resync: true }]);
    else {
      kept.push(frame);
      this.waiting.set(frame.topic, kept);
    }
    if (!document.hidden) this.schedule();
  }

  private schedule(): void {
    if (this.drawn) return;
    this.drawn = requestAnimationFrame(() => {
      this.drawn = 0;
      this.deliver();
    });
  }

  private deliver(): void {
    const all = [...this.waiting];
    this.waiting.clear();
    for (const [topic, frames] of all) {
      for (const reader of this.readers.get(topic) ?? []) reader(frames);
    }
  }

  /** The tab is shown again. */
  shown(): void {
    if (this.waiting.size > 0) this.schedule();
    void this.open();
  }

  /** Ends the connection: the session has ended. */
  close(): void {
    clearTimeout(this.timer);
    this.socket?.close();
    this.socket = null;
    this.cursor = undefined;
    this.wait = FIRST_WAIT;
  }
}

export const hub = new Hub();
