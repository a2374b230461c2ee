import { Link, Outlet, useLocation, useRouter } from "@tanstack/react-router";
import { CircleAlert, Ellipsis, LogOut, Search, Unplug } from "lucide-react";
import { Suspense, useEffect, useState } from "react";
import type { AllCounts } from "../api/contract";
import { useGet } from "../api/query";
import { Button } from "../kit/button";
import { cx } from "../kit/cx";
import { Dialog } from "../kit/dialog";
import { ago } from "../kit/format";
import { Loading } from "../kit/said";
import { useNow, zone } from "../kit/time";
import { Toasts } from "../kit/toast";
import { useStats } from "../live/use-live";
import { KeyHelp, useKeys } from "./keys";
import { ALL_PLACES, PHONE, PLACES, type Place } from "./nav";
import { Palette } from "./palette";
import css from "./shell.module.css";
import { signOut } from "./sign-out";
import { useSession } from "./use-session";

/** The counts of everything: from the socket each second, else read at intervals; null while unknown. */
export function useCounts(): AllCounts | null {
  const stats = useStats();
  const read = useGet("/api/v1/counts", undefined, { refetchInterval: stats ? false : 5_000 });
  return stats?.counts ?? read.data ?? null;
}

function Waiting({ place, counts }: { place: Place; counts: AllCounts | null }) {
  if (!counts) return null;
  const waiting = counts.approvals + counts.parked;
  const [value, tone] = {
    "/runs": [counts.runs.open, "calm"] as const,
    "/inbox": [waiting, "warn"] as const,
    "/dead": [counts.dead, "bad"] as const,
  }[place.to] ?? [0, "calm"];
  if (!value) return null;
  return (
    <span className={css.number} data-tone={tone}>
      {value > 999 ? "999+" : value}
    </span>
  );
}

function PlaceLink({
  place,
  counts,
  className,
  onClick,
}: {
  place: Place;
  counts: AllCounts | null;
  className?: string;
  onClick?: () => void;
}) {
  const Icon = place.icon;
  return (
    <Link
      to={place.to}
      className={className}
      title={place.about}
      activeOptions={{ includeSearch: false }}
      onClick={onClick}
    >
      <Icon aria-hidden />
      <span>{place.name}</span>
      <Waiting place={place} counts={counts} />
    </Link>
  );
}

/** Whether this console has the page of a place. */
function useThere(): (place: Place) => boolean {
  const router = useRouter();
  return (place) => place.to in router.routesByPath;
}

function Side({ counts, onFind }: { counts: AllCounts | null; onFind: () => void }) {
  const session = useSession();
  const there = useThere();
  return (
    <nav className={css.side} aria-label="Pages">
      <Link to="/" className={css.brand} aria-label="Kapelle">
        <img src="/ui/icon.svg" alt="" />
        <span>Kapelle</span>
      </Link>
      <button type="button" className={css.find} onClick={onFind}>
        <Search aria-hidden />
        <span>Find</span>
        <kbd>{/Mac/.test(navigator.platform) ? "⌘" : "Ctrl"} K</kbd>
      </button>
      {PLACES.map((group) => (
        <div key={group[0]?.to} className={css.group}>
          {group.filter(there).map((place) => (
            <PlaceLink key={place.to} place={place} counts={counts} className={css.link} />
          ))}
        </div>
      ))}
      <div className={css.foot}>
        <div className={css.who}>
          <span title={session.me ? `${session.me.name}, tenant ${session.me.tenant}` : undefined}>
            {session.me ? `${session.me.role} · ${session.me.name}` : "Signed in"}
          </span>
          <Button small kind="bare" icon={LogOut} label="Sign out" onClick={() => void signOut()} />
        </div>
        <div className={cx(css.who, css.zone)}>
          <span>Times in {zone()}</span>
        </div>
      </div>
    </nav>
  );
}

function PhoneBar({ counts }: { counts: AllCounts | null }) {
  const [more, setMore] = useState(false);
  const { pathname } = useLocation();
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new page closes the list
  useEffect(() => setMore(false), [pathname]);
  const there = useThere();
  const rest = ALL_PLACES.filter((place) => !place.phone && there(place));
  return (
    <nav className={css.bar} aria-label="Main pages">
      {PHONE.filter(there).map((place) => (
        <PlaceLink key={place.to} place={place} counts={counts} className={css.tab} />
      ))}
      <button type="button" className={css.tab} onClick={() => setMore(true)}>
        <Ellipsis aria-hidden />
        <span>More</span>
      </button>
      {more && (
        <Dialog
          title="More"
          onClose={() => setMore(false)}
          foot={
            <Button icon={LogOut} onClick={() => void signOut()}>
              Sign out
            </Button>
          }
        >
          <div className={css.more}>
            {rest.map((place) => (
              <PlaceLink
                key={place.to}
                place={place}
                counts={counts}
                className={css.link}
                onClick={() => setMore(false)}
              />
            ))}
          </div>
        </Dialog>
      )}
    </nav>
  );
}

function LostBanner({ since }: { since: number }) {
  const now = useNow();
  return (
    <div className={cx(css.banner, css.lost)} role="alert">
      <Unplug size={16} aria-hidden />
      Connection to the server lost {ago(Math.max(0, now - since))}. What you see is of that time; it goes on by itself
      once the server answers.
    </div>
  );
}

function UnservedBanner({ counts }: { counts: AllCounts | null }) {
  const first = counts?.unserved[0];
  if (!counts || !first) return null;
  const others = counts.unserved.length - 1;
  return (
    <div className={cx(css.banner, css.unserved)} role="status">
      <CircleAlert size={16} aria-hidden />
      <span>
        0 workers listen on {first.queue} for {first.worker}: {first.tasks}{" "}
        {first.tasks === 1 ? "task waits" : "tasks wait"}
        {others > 0 && `, and ${others} more like it`}. <Link to="/queues">See the queues</Link>
      </span>
    </div>
  );
}

/** The frame around every page. */
export function Shell() {
  const session = useSession();
  const counts = useCounts();
  const [panel, setPanel] = useState<"find" | "keys" | null>(null);
  const { pathname } = useLocation();
  useKeys({ find: () => setPanel("find"), help: () => setPanel("keys") });
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new page is read from its beginning
  useEffect(() => setPanel(null), [pathname]);
  return (
    <div className={css.shell}>
      <a className={css.skip} href="#main">
        Skip to the page
      </a>
      <Side counts={counts} onFind={() => setPanel("find")} />
      <main id="main" tabIndex={-1} className={css.main}>
        {session.lostSince !== null && <LostBanner since={session.lostSince} />}
        <UnservedBanner counts={counts} />
        <div className={cx(session.lostSince !== null && css.stale)}>
          <Suspense fallback={<Loading what="the page" />}>
            <Outlet />
          </Suspense>
        </div>
      </main>
      <PhoneBar counts={counts} />
      {panel === "find" && <Palette onClose={() => setPanel(null)} />}
      {panel === "keys" && <KeyHelp onClose={() => setPanel(null)} />}
      <Toasts />
    </div>
  );
}
