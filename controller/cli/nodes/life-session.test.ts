import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

import type { FastifyInstance } from "fastify";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { openTestSite, type TestSite } from "../../api/rest/api-test-site.ts";
import { createApi } from "../../api/rest/create-api.ts";
import { listenOnSocket } from "../../api/rest/listen.ts";
import type { CliProcess } from "../cli-context.ts";
import { typeCommand } from "../type-command.ts";

const OLD = "52:54:00:00:00:17";
const NEW = "52:54:00:00:00:99";

let site: TestSite;
let api: FastifyInstance;

beforeEach(async () => {
  site = await openTestSite();
  api = await createApi(site.deps, { by: "socket" });
  await listenOnSocket(api, join(site.directory, "control.sock"), "root");
  await site.deps.inventory.commit(
    ["c017", "c018"].map((name, index) => ({
      ...{ kind: "node", name, revision: 0 },
      fields: { devices: { eno1: { mac: `52:54:00:00:00:${17 + index}` as never, mtu: 1500 } } },
    })),
    { user: "anna", address: "10.1.2.3", reason: "delivery" },
  );
});
afterEach(async () => {
  await api.close();
  await site[Symbol.asyncDispose]();
});

const muster = async (line: string, more?: Partial<CliProcess>): Promise<string> =>
  (await typeCommand(join(site.directory, "control.sock"), line, more)).replaceAll(site.directory, "DIR");
const mtu = (node: string) =>
  site.deps.inventory.findNode(node).then((found) => found?.devices.map((device) => device.mtu));

const lastChange = async (): Promise<number> =>
  (await site.deps.inventory.listChanges({ limit: 1 }))[0]?.id ?? 0;

describe("muster history and undo", () => {
  it("tell who changed what and why, and take it back as a change of its own", async () => {
    await muster("node set c[017-018] --device eno1 --mtu 9000 -y -m 'jumbo frames'");
    expect(await muster("history")).toMatchInlineSnapshot(`
      "$ muster history
      CHANGE  WHEN                  WHO            WHAT                          WHY
           2  2026-11-20 12:00:00Z  root           c[017-018]: devices.eno1.mtu  jumbo frames
           1  2026-11-20 12:00:00Z  anna@10.1.2.3  c[017-018] added              delivery
      [0]
      "
    `);
    expect(await muster("history --change 2")).toMatchInlineSnapshot(`
      "$ muster history --change 2
      change:  2
      when:    2026-11-20 12:00:00Z
      who:     root
      why:     jumbo frames

      c[017-018]:
        devices.eno1.mtu: 1500 -> 9000
      [0]
      "
    `);
    expect(await muster("undo 2 -y")).toMatchInlineSnapshot(`
      "$ muster undo 2 -y
      c[017-018]: devices.eno1.mtu 9000 -> 1500   (reboot)

      at the next boot: c[017-018]; where they are up: muster reboot c[017-018]
      2> change 3: 2 nodes c[017-018]; to take it back: muster undo 3
      [0]
      "
    `);
    expect(await mtu("c017")).toEqual([1500]);
    expect(await muster("history c018 --limit 2")).toMatchInlineSnapshot(`
      "$ muster history c018 --limit 2
      CHANGE  WHEN                  WHO   WHAT                          WHY
           3  2026-11-20 12:00:00Z  root  c[017-018]: devices.eno1.mtu  undo of change 2
           2  2026-11-20 12:00:00Z  root  c[017-018]: devices.eno1.mtu  jumbo frames
      [0]
      "
    `);
    await muster("undo 3 -y -m 'we want them after all'");
    expect(await mtu("c017")).toEqual([9000]);
    expect(await muster("undo 2 -y")).toMatchInlineSnapshot(`
      "$ muster undo 2 -y
      c[017-018]: devices.eno1.mtu 9000 -> 1500   (reboot)

      at the next boot: c[017-018]; where they are up: muster reboot c[017-018]
      2> change 5: 2 nodes c[017-018]; to take it back: muster undo 5
      [0]
      "
    `);
  });

  it("ask first, and only look when told so", async () => {
    await muster("node set c017 --device eno1 --mtu 9000 -y");
    const questions: string[] = [];
    const ask = async (question: string): Promise<string> => {
      questions.push(question);
      return "n";
    };
    expect(await muster("undo 2", { ask })).toMatch(/nothing was done\n\[1\]/);
    expect(questions).toEqual(["Undo change 2? [y/N] "]);
    expect(await muster("undo 2 --dry-run")).toMatch(/nothing was changed\n\[0\]/);
    expect(await mtu("c017")).toEqual([9000]);
  });

  it("name each field that was changed again since, by whom, and do nothing", async () => {
    await muster("node set c[017-018] --device eno1 --mtu 9000 --image '' -y");
    await muster("node set c018 --device eno1 --mtu 4000 -y");
    expect(await muster("undo 2 -y")).toMatchInlineSnapshot(`
      "$ muster undo 2 -y
      2> muster: change 2 cannot be undone, for what it changed was changed again since; nothing was done
      2>   c018: devices.eno1.mtu is 4000, not 9000: change 3, root, 2026-11-20 12:00:00Z
      2>   fix: undo the later change first (muster undo 3), or write what you want with muster node set
      [5]
      "
    `);
    expect(await mtu("c017")).toEqual([9000]);
    await muster("node delete c017 -y");
    expect(await muster("undo 2 -y")).toMatch(/c017 is not there any more: change \d+, \S+/);
  });

  it("bring back what was deleted, secrets included, and never show one", async () => {
    await site.deps.inventory.commit(
      [{ kind: "node", name: "c019", revision: 0, fields: { bmc: { user: "root", password: "hunter2" } } }],
      { user: "root" },
    );
    await muster("node delete c019 -y");
    const id = await lastChange();
    const shown = await muster(`history --change ${id}`);
    expect(shown).toMatch(/bmc.password: \(kept\)/);
    expect(shown + (await muster(`undo ${id} -y`)) + (await muster("history"))).not.toContain("hunter2");
    expect((await site.deps.inventory.findNode("c019"))?.bmc?.password).toBe("hunter2");
  });

  it("refuse what is no change of records, and numbers that are none", async () => {
    expect(await muster("undo 99 -y")).toMatch(/there is no change 99[\s\S]*\[4\]/);
    expect(await muster("undo x -y")).toMatch(/change x is not a number from 1[\s\S]*\[2\]/);
    await muster("node replace c017 --mac 52:54:00:00:00:99 -y");
    const id = await lastChange();
    expect(await muster(`undo ${id} -y`)).toMatch(
      /says which machine is behind a node[\s\S]*muster node swap A B[\s\S]*\[2\]/,
    );
  });

  it("show the history of one node, of one profile, and of some time", async () => {
    await muster("profile add gpu --kernel-argument quiet -y");
    expect(await muster("history profile:gpu")).toMatch(/profile gpu added/);
    expect(await muster("history c018")).not.toMatch(/gpu/);
    expect(await muster("history --since '2 hours ago'")).toMatch(/delivery/);
    expect(await muster("history --since 'change 2'")).toMatch(/ 2 .*gpu added/);
    expect(await muster("history --since 'change 2'")).not.toMatch(/delivery/);
    expect(await muster("history profile:cpu")).toMatch(/nothing was changed/);
    expect(
      JSON.parse((await muster("history -o json --limit 1")).split("\n").slice(1, -2).join("\n")),
    ).toMatchObject([
      { user: "root", what: "profile gpu added", groups: [{ kind: "profile", names: "gpu", count: 1 }] },
    ]);
  });
});

describe("muster node replace, swap and refused", () => {
  it("replace says what becomes of both machines, and shows before it asks", async () => {
    expect(await muster(`node replace c017 --mac ${NEW} --dry-run`)).toMatchInlineSnapshot(`
      "$ muster node replace c017 --mac 52:54:00:00:00:99 --dry-run
      c017: devices.eno1.mac 52:54:00:00:00:17 -> 52:54:00:00:00:99   (reboot)

      at once: DHCP answers otherwise for c017
      2> the controller would do this; nothing was changed
      [0]
      "
    `);
    expect(await muster(`node replace c017 --mac ${NEW} -y -m 'board dead'`)).toMatchInlineSnapshot(`
      "$ muster node replace c017 --mac 52:54:00:00:00:99 -y -m 'board dead'
      c017: devices.eno1.mac 52:54:00:00:00:17 -> 52:54:00:00:00:99   (reboot)

      at once: DHCP answers otherwise for c017
      2> change 2: 52:54:00:00:00:99 is c017 from now on
      2> refused from now on: the machine with 52:54:00:00:00:17; to let it in again: muster node refused readmit 52:54:00:00:00:17
      2> power the new machine on, or power-cycle it
      [0]
      "
    `);
    expect(await muster("node refused list")).toMatchInlineSnapshot(`
      "$ muster node refused list
      MAC                WAS   REPLACED              BY    WHY         SERIAL  UUID
      52:54:00:00:00:17  c017  2026-11-20 12:00:00Z  root  board dead  -       -
      [0]
      "
    `);
    expect(await muster("node pending")).toMatchInlineSnapshot(`
      "$ muster node pending
      2> no machine waits for approval
      2> 52:54:00:00:00:17 was replaced as c017 and is not let in: muster node refused list
      [0]
      "
    `);
    expect(await muster(`node refused readmit ${OLD.toUpperCase()}`)).toMatchInlineSnapshot(`
      "$ muster node refused readmit 52:54:00:00:00:17
      2> 52:54:00:00:00:17 may ask to enrol again; it is listed by muster node pending when it boots
      [0]
      "
    `);
    expect(await muster("node refused list")).toMatch(/no machine is refused/);
  });

  it("replace by a machine that waits approves it at once", async () => {
    await site.wait("KX4T-92MB", NEW);
    expect(await muster(`node replace c017 --mac ${NEW} -y`)).toMatch(
      /it waited as KX4T-92MB: approved, and boots on/,
    );
    expect(await site.deps.inventory.listPending()).toEqual([]);
    expect((await site.deps.inventory.findNodeByMac(NEW as never))?.name).toBe("c017");
  });

  it("replace by the machine of another node says to swap; swap exchanges them", async () => {
    expect(await muster("node replace c017 --mac 52:54:00:00:00:18 -y")).toMatch(
      /belongs to c018, device eno1\n2> {3}fix: exchange the machines of the two \(muster node swap c017 c018\)[\s\S]*\[5\]/,
    );
    expect(await muster("node swap c017 c018 -y")).toMatchInlineSnapshot(`
      "$ muster node swap c017 c018 -y
      c017: devices.eno1.mac 52:54:00:00:00:17 -> 52:54:00:00:00:18   (reboot)
      c018: devices.eno1.mac 52:54:00:00:00:18 -> 52:54:00:00:00:17   (reboot)

      at once: DHCP answers otherwise for c[017-018]
      2> change 2: the machines of c017 and c018 are exchanged
      2> power-cycle both: until then neither has a session
      [0]
      "
    `);
    expect((await site.deps.inventory.findNodeByMac(OLD as never))?.name).toBe("c018");
  });

  it("refuse what is no MAC, no node, or the node itself", async () => {
    expect(await muster("node replace c017 --mac nonsense -y")).toMatch(
      /"nonsense" is no MAC address[\s\S]*\[2\]/,
    );
    expect(await muster(`node replace c099 --mac ${NEW} -y`)).toMatch(/c099[\s\S]*\[4\]/);
    expect(await muster("node swap c017 c017 -y")).toMatch(/are one node[\s\S]*\[2\]/);
    expect(await muster(`node refused readmit ${NEW}`)).toMatch(/no machine is refused under[\s\S]*\[4\]/);
  });
});

describe("muster hook", () => {
  it("lists hooks with how they ended, and runs them for a test", async () => {
    expect(await muster("hook list")).toMatchInlineSnapshot(`
      "$ muster hook list
      2> no hook in DIR/hooks.d
      [0]
      "
    `);
    await mkdir(join(site.directory, "hooks.d"), { mode: 0o755 });
    await writeHook("good", 'echo "$1 $MUSTER_NODES"');
    await writeHook("bad", "echo cannot reach slurmctld >&2; exit 3");
    await writeHook("open", "exit 0", 0o777);
    expect(await muster("hook run node-down --node c[017-018] --dry-run")).toMatchInlineSnapshot(`
      "$ muster hook run node-down --node c[017-018] --dry-run
      {
        "version": 1,
        "event": "node-down",
        "at": "2026-11-20T12:00:00.000Z",
        "nodeset": "c[017-018]",
        "nodes": [
          {
            "name": "c017",
            "at": "2026-11-20T12:00:00.000Z",
            "state": "new"
          },
          {
            "name": "c018",
            "at": "2026-11-20T12:00:00.000Z",
            "state": "new"
          }
        ]
      }
      2> would run: bad node-down
      2> would run: good node-down
      [0]
      "
    `);
    const ran = await muster("hook run node-down --node c[017-018]");
    expect(ran.replaceAll(/after \S+ s/g, "after N s")).toMatchInlineSnapshot(`
      "$ muster hook run node-down --node c[017-018]
      2> cannot reach slurmctld
      2> bad node-down: exited with 3, after N s
      node-down c[017-018]
      2> good node-down: ended well, after N s
      [3]
      "
    `);
    const listed = (await muster("hook list")).replaceAll(/ \d\.\d s/g, " N s");
    expect(listed).toMatchInlineSnapshot(`
      "$ muster hook list
      NAME  RUNS     LAST RUN  EVENT      ABOUT       ENDED          TOOK   WAITING
      bad   yes      0 s ago   node-down  c[017-018]  exited with 3  N s        -
      good  yes      0 s ago   node-down  c[017-018]  ok             N s        -
      open  REFUSED  -         -          -           -              -            -
      2> bad said: cannot reach slurmctld
      2> open is not run: DIR/hooks.d/open may be written by others than its owner (mode 777)
      2>   fix: chmod go-w DIR/hooks.d/open
      [0]
      "
    `);
    expect(await muster("hook run change-committed --dry-run")).toMatch(/"reason": "delivery"/);
    expect(await muster("hook run node-up")).toMatch(/is about nodes, and none is named[\s\S]*\[2\]/);
    expect(await muster("hook run node-sideways")).toMatch(/\[2\]/);
  });
});

async function writeHook(name: string, script: string, mode = 0o755): Promise<void> {
  const path = join(site.directory, "hooks.d", name);
  await writeFile(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, mode);
}
