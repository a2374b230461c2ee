import { Link } from "@tanstack/react-router";
import { Columns2, FlaskConical, Send } from "lucide-react";
import { useEffect, useMemo, useState } from "react";
import { api, once, unwrap } from "../../api/client";
import type { Worker } from "../../api/paths";
import { reread, useGet } from "../../api/query";
import { useFilters } from "../../app/use-filters";
import { Button, RoleNote } from "../../kit/button";
import { Combobox } from "../../kit/combobox";
import { CopyAs } from "../../kit/copy";
import { visible } from "../../kit/format";
import { Card, Page as Frame } from "../../kit/page";
import { Empty, ErrorBox, Loaded } from "../../kit/said";
import { faults, initial, type Schema } from "../../kit/schema";
import { SchemaForm } from "../../kit/schema-form";
import { TaskAnswer } from "./answer";
import { bodyOf, inputFor, NO_OPTIONS, optionFaults, recipeOf, textField } from "./model";
import { OptionFields } from "./options";
import { Recent } from "./recent";
import { TextSource } from "./text-source";
import css from "./try.module.css";

/** Workers that a first visit begins with, the first that is there: they answer without a model. */
const FIRST = ["keywords", "language", "summarizer"];

type Sent = { id: string; worker: string };

function schemaOf(worker: Worker | undefined): Schema | undefined {
  const schema = worker?.input as Schema | null | undefined;
  return schema && Object.keys(schema).length > 0 ? schema : undefined;
}

/** The input of an earlier task, where the address names one. */
function useEarlier(task: string | undefined): unknown {
  const asked = useGet("/api/v1/tasks/{id}", { params: { path: { id: task ?? "" } } }, { enabled: Boolean(task) });
  return asked.data?.input;
}

function WorkerFields(props: {
  workers: Worker[];
  worker: Worker | undefined;
  second: string;
  onFirst: (name: string) => void;
  onSecond: (name: string) => void;
}) {
  const options = props.workers.map((one) => ({ value: one.name, note: one.description }));
  return (
    <>
      <Combobox label="Worker" options={options} value={props.worker?.name ?? ""} onChange={props.onFirst} />
      {props.worker?.description && <p className={css.about}>{visible(props.worker.description)}.</p>}
      {props.second && (
        <Combobox
          label="Beside it"
          help="It gets the fields of this form that it knows."
          options={options}
          value={props.second}
          onChange={props.onSecond}
        />
      )}
    </>
  );
}

function Ask({ workers, onSent }: { workers: Worker[]; onSent: (sent: Sent[]) => void }) {
  const [search, set] = useFilters();
  const start = FIRST.find((name) => workers.some((one) => one.name === name)) ?? workers[0]?.name;
  const worker = workers.find((one) => one.name === (search.worker ?? start)) ?? workers[0];
  const other = workers.find((one) => one.name === search.second);
  const schema = schemaOf(worker);
  const earlier = useEarlier(search.task);
  const [value, setValue] = useState<unknown>(() => initial(schema ?? {}));
  const [options, setOptions] = useState(NO_OPTIONS);
  const [form, setForm] = useState(0);
  const [tried, setTried] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const wrong = useMemo(() => (schema ? faults(schema, value) : {}), [schema, value]);
  const text = textField(schema);
  useEffect(() => {
    if (earlier === undefined) return;
    setValue(earlier);
    setForm((was) => was + 1);
  }, [earlier]);
  const choose = (name: string): void => {
    const next = schemaOf(workers.find((one) => one.name === name));
    setValue((was: unknown) => ({ ...initial(next ?? {}), ...(inputFor(next, schema, was) as object) }));
    setForm((was) => was + 1);
    setTried(false);
    set({ worker: name, task: "" });
  };
  const put = (words: string): void => {
    if (!text) return;
    setValue((was: unknown) => ({ ...(was as object), [text]: words }));
    setForm((was) => was + 1);
  };
  const bodies = worker
    ? [worker, ...(other ? [other] : [])].map((one) =>
        bodyOf(one.name, one === worker ? value : inputFor(schemaOf(one), schema, value), options),
      )
    : [];
  const send = async (): Promise<void> => {
    setTried(true);
    if (Object.keys(wrong).length > 0 || Object.keys(optionFaults(options)).length > 0) return;
    setBusy(true);
    setError(null);
    try {
      const sent = await Promise.all(
        bodies.map(async (body) => {
          const done = await unwrap(api.POST("/api/v1/tasks", { body, headers: { "idempotency-key": once() } }));
          return { id: done.id, worker: body.worker };
        }),
      );
      onSent(sent);
      reread("/api/v1/tasks");
    } catch (refused) {
      setError(refused);
    }
    setBusy(false);
  };
  const first = bodies[0];
  const second = workers.find((one) => one.name !== worker?.name && textField(schemaOf(one)))?.name ?? "";
  return (
    <Card title="Ask">
      <form
        className={css.form}
        onSubmit={(event) => {
          event.preventDefault();
          void send();
        }}
      >
        <WorkerFields
          workers={workers}
          worker={worker}
          second={search.second ?? ""}
          onFirst={choose}
          onSecond={(name) => set({ second: name })}
        />
        {text && <TextSource onText={put} />}
        <SchemaForm
          key={`${worker?.name} ${form}`}
          schema={schema}
          value={value}
          onChange={setValue}
          faults={tried ? wrong : {}}
        />
        <OptionFields value={options} onChange={setOptions} />
        {error != null && <ErrorBox error={error} />}
        <div className={css.send}>
          <Button kind="primary" type="submit" may="submit" icon={Send} busy={busy}>
            {other ? "Ask both" : "Submit"}
          </Button>
          <RoleNote may="submit" to="submit tasks" />
          {first && <CopyAs recipe={recipeOf(first)} />}
          <Button kind="bare" icon={Columns2} onClick={() => set({ second: search.second ? "" : second })}>
            {search.second ? "One worker alone" : "Two side by side"}
          </Button>
        </div>
      </form>
    </Card>
  );
}

export function Page() {
  const workers = useGet("/api/v1/workers");
  const [sent, setSent] = useState<Sent[]>([]);
  return (
    <Frame title="Try" sub="One task by hand: choose a worker, give it something, and see what comes back.">
      <Loaded of={workers} what="The workers">
        {(data) =>
          data.workers.length === 0 ? (
            <Empty icon={FlaskConical} title="There is no worker to ask" command="kapelle init">
              A worker is a file in workers/, a script or a few lines of YAML. A starter project has some:
            </Empty>
          ) : (
            <div className={css.layout}>
              <div className={css.ask}>
                <Ask workers={data.workers} onSent={setSent} />
              </div>
              <div className={css.answers}>
                {sent.length > 0 ? (
                  <div className={css.side}>
                    {sent.map((one) => (
                      <TaskAnswer key={one.id} id={one.id} name={one.worker} />
                    ))}
                  </div>
                ) : (
                  <Card title="Answer">
                    <Empty icon={Send} title="Nothing was asked yet">
                      The answer appears here with its wait, its duration, its tokens and its cost. Without the key of a
                      model, offline methods answer where there are some. All workers over one text:{" "}
                      <Link to="/analyse" className={css.inline}>
                        Analyse
                      </Link>
                      .
                    </Empty>
                  </Card>
                )}
                <Recent />
              </div>
            </div>
          )
        }
      </Loaded>
    </Frame>
  );
}
