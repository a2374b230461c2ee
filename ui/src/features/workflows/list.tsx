import { Link, useNavigate } from "@tanstack/react-router";
import { FilePlus2, Play, Workflow } from "lucide-react";
import { useState } from "react";
import type { CatalogEntry } from "../../api/paths";
import { useGet } from "../../api/query";
import { useFilters } from "../../app/use-filters";
import { Mark, StateBadge } from "../../kit/badge";
import { Button } from "../../kit/button";
import { CopyAs } from "../../kit/copy";
import { Dialog } from "../../kit/dialog";
import { SearchField } from "../../kit/fields";
import { count, visible } from "../../kit/format";
import { Card, Page as Frame, Toolbar } from "../../kit/page";
import { Empty, Loaded } from "../../kit/said";
import { type Column, Table } from "../../kit/table";
import { Time } from "../../kit/time";
import { useLiveReads } from "../../live/use-live";
import { Source } from "./source";
import { StartRun } from "./start";
import css from "./workflows.module.css";

const NEW = `name: my-workflow
description: What it does

inputs:
  type: object
  required: [text]
  properties:
    text: { type: string }

steps:
  keywords:
    worker: keywords
    with: { text: "\${{ inputs.text }}" }

outputs:
  keywords: "\${{ steps.keywords.output.keywords }}"
`;

export function Page() {
  const [search, set] = useFilters();
  const navigate = useNavigate();
  const catalog = useGet("/api/v1/workflows/catalog");
  useLiveReads("runs", ["/api/v1/workflows/catalog"], 3_000);
  const [start, setStart] = useState<CatalogEntry | null>(null);
  const [making, setMaking] = useState(false);
  const wanted = (search.q ?? "").toLowerCase();
  const columns: Column<CatalogEntry>[] = [
    {
      key: "name",
      head: "Workflow",
      width: "minmax(200px, 2fr)",
      phone: "wide",
      cell: (one) => (
        <span className={css.name}>
          <Link to="/workflows/$name" params={{ name: one.name }}>
            {visible(one.name)}
          </Link>
          {one.description && <small>{visible(one.description)}</small>}
        </span>
      ),
    },
    {
      key: "file",
      head: "File",
      width: "minmax(120px, 1.2fr)",
      phone: "hide",
      cell: (one) =>
        one.file ? <span className="mono">{visible(one.file)}</span> : <span className="muted">stored only</span>,
    },
    {
      key: "version",
      head: "Version",
      width: "120px",
      cell: (one) => (
        <>
          {one.newest ?? <span className="muted">never run</span>}{" "}
          {one.unsaved && one.newest !== undefined && (
            <Mark tone="warn" title="The file differs from the newest version: the next run stores it as a new one">
              file differs
            </Mark>
          )}
        </>
      ),
    },
    { key: "steps", head: "Steps", width: "60px", right: true, cell: (one) => count(one.steps) },
    { key: "open", head: "Open", width: "60px", right: true, cell: (one) => count(one.open) },
    {
      key: "last",
      head: "Last run",
      width: "minmax(170px, 1.2fr)",
      cell: (one) =>
        one.problem ? (
          <Mark tone="bad" title={one.problem}>
            the file is invalid
          </Mark>
        ) : one.last ? (
          <Link to="/runs/$run" params={{ run: one.last.run }}>
            <StateBadge state={one.last.state} plain /> <Time at={one.last.created_at} age />
          </Link>
        ) : (
          <span className="muted">–</span>
        ),
    },
    {
      key: "start",
      head: "",
      width: "90px",
      right: true,
      phone: "plain",
      cell: (one) => (
        <Button small may="submit" icon={Play} disabled={one.problem !== undefined} onClick={() => setStart(one)}>
          Run
        </Button>
      ),
    },
  ];
  return (
    <Frame
      title="Workflows"
      sub="The files of the project and the versions that are stored. Each change of a text is a version of its own."
      actions={
        <>
          <CopyAs recipe={{ method: "GET", path: "/api/v1/workflows/catalog", cli: "workflows list" }} />
          <Button may="submit" kind="primary" icon={FilePlus2} onClick={() => setMaking(true)}>
            New workflow
          </Button>
        </>
      }
    >
      <Toolbar label="Filters">
        <SearchField label="Name or description" value={search.q ?? ""} onChange={(q) => set({ q })} />
      </Toolbar>
      <Card flush>
        <Loaded of={catalog} what="The catalogue">
          {(data) => (
            <Table
              label="Workflows"
              columns={columns}
              rows={data.workflows.filter((one) =>
                `${one.name} ${one.description ?? ""}`.toLowerCase().includes(wanted),
              )}
              rowKey={(one) => one.name}
              onOpen={(one) => void navigate({ to: "/workflows/$name", params: { name: one.name } })}
              empty={
                wanted ? (
                  <Empty
                    title="No workflow has this name"
                    action={<Button onClick={() => set({ q: "" })}>Show all</Button>}
                  />
                ) : (
                  <Empty icon={Workflow} title="No workflows yet" command="kapelle init">
                    A workflow is a YAML file in the folder workflows of the project. This makes one to begin with:
                  </Empty>
                )
              }
            />
          )}
        </Loaded>
      </Card>
      {start && <StartRun name={start.name} inputs={start.inputs} onClose={() => setStart(null)} />}
      {making && (
        <Dialog title="New workflow" wide onClose={() => setMaking(false)}>
          <Source
            source={NEW}
            onPublished={(name) => {
              setMaking(false);
              void navigate({ to: "/workflows/$name", params: { name } });
            }}
          />
        </Dialog>
      )}
    </Frame>
  );
}
