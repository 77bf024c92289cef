import { runCommandUnchecked } from "#proto/host/run-command.ts";

/**
 * Tells systemd about this service (sd_notify(3)): "--ready", "--stopping". Does nothing outside systemd.
 * Node.js has no Unix datagram sockets, hence systemd's own program; the unit has NotifyAccess=all.
 */
export async function notifySystemd(
  state: "--ready" | "--stopping",
  socket: string | undefined,
): Promise<void> {
  if (socket === undefined || socket === "") return;
  await runCommandUnchecked({
    program: "systemd-notify",
    args: [state],
    env: { NOTIFY_SOCKET: socket, PATH: "/usr/bin:/bin" },
    deadlineMs: 10_000,
  });
}
