import { useState } from "react";
import type { Setting } from "../../api/paths";
import { useGet } from "../../api/query";
import { Mark } from "../../kit/badge";
import { CopyAs } from "../../kit/copy";
import { SearchField } from "../../kit/fields";
import { visible } from "../../kit/format";
import { Card } from "../../kit/page";
import { Command, Empty, Loaded, Notice } from "../../kit/said";
import { type Column, Table } from "../../kit/table";
import { settings, settingText } from "./model";
import css from "./system.module.css";

const COLUMNS: Column<Setting>[] = [
  {
    key: "path",
    head: "Setting",
    width: "minmax(160px, 1.4fr)",
    phone: "wide",
    cell: (one) => <span className={css.path}>{visible(one.path)}</span>,
  },
  {
    key: "value",
    head: "Value",
    width: "minmax(140px, 2fr)",
    phone: "wide",
    cell: (one) => <span className={css.path}>{visible(settingText(one.value))}</span>,
  },
  {
    key: "origin",
    head: "From",
    width: "minmax(100px, 1fr)",
    cell: (one) =>
      /default/i.test(one.origin) ? (
        <span className="muted">default</span>
      ) : (
        <Mark tone="info">{visible(one.origin)}</Mark>
      ),
  },
];

/** Every setting with its origin: those that somebody set come first. */
export function Config() {
  const config = useGet("/api/v1/config", undefined, { staleTime: 30_000 });
  const [q, setQ] = useState("");
  if (config.error?.isMissing) {
    return (
      <Card title="Configuration">
        <Notice tone="calm">
          This server shows its settings on the command line: <Command>kapelle config show</Command>
        </Notice>
      </Card>
    );
  }
  return (
    <Card
      title="Configuration"
      flush
      actions={
        <>
          <SearchField label="Setting or value" value={q} onChange={setQ} />
          <CopyAs recipe={{ method: "GET", path: "/api/v1/config", cli: "config show" }} />
        </>
      }
    >
      <Loaded of={config} what="The configuration">
        {(data) => (
          <Table
            label="Configuration"
            columns={COLUMNS}
            rows={settings(data.settings, q)}
            rowKey={(one) => one.path}
            empty={<Empty title="No setting has this text" />}
          />
        )}
      </Loaded>
    </Card>
  );
}
