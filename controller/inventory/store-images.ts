import type { Kysely, Transaction } from "kysely";

import type { Digest } from "#proto/contract/digest.ts";
import { MusterError } from "#proto/contract/muster-error.ts";
import { compareNodeNames, foldNodeSet } from "#proto/contract/node-set.ts";
import type { Author, Image, ImageVersion } from "./inventory.ts";
import { recordChanges } from "./record-changes.ts";
import type { ImageVersionsTable, InventoryTables } from "./schema.ts";

type Tx = Transaction<InventoryTables>;
type Reader = Kysely<InventoryTables>;

/** The channel nodes boot; it follows the newest version. */
const DEFAULT_CHANNEL = "stable";

/** All images in natural order, or the one named. */
export async function loadImages(tx: Reader, name?: string): Promise<readonly Image[]> {
  let images = tx.selectFrom("images").selectAll();
  let versions = tx.selectFrom("image_versions").selectAll().orderBy("image").orderBy("version");
  let channels = tx.selectFrom("image_channels").selectAll().orderBy("channel");
  if (name !== undefined) {
    images = images.where("name", "=", name);
    versions = versions.where("image", "=", name);
    channels = channels.where("image", "=", name);
  }
  const versionRows = await versions.execute();
  const channelRows = await channels.execute();
  return (await images.execute())
    .map((image) => ({
      name: image.name,
      versions: versionRows.filter((row) => row.image === image.name).map(versionOfRow),
      channels: Object.fromEntries(
        channelRows.filter((row) => row.image === image.name).map((row) => [row.channel, row.version]),
      ),
    }))
    .sort((a, b) => compareNodeNames(a.name, b.name));
}

export async function addImageVersion(
  tx: Tx,
  content: Omit<ImageVersion, "version" | "createdAt">,
  author: Author,
  now: Date,
): Promise<ImageVersion> {
  const { image, ...details } = content;
  const series = await tx
    .insertInto("image_series")
    .values({ name: image, last_version: 1 })
    .onConflict((conflict) =>
      conflict.column("name").doUpdateSet((eb) => ({
        last_version: eb("image_series.last_version", "+", 1),
      })),
    )
    .returning("last_version")
    .executeTakeFirstOrThrow();
  const version = series.last_version;
  await tx
    .insertInto("images")
    .values({ name: image })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  await tx
    .insertInto("image_versions")
    .values({ image, version, details_json: JSON.stringify(details), created_at: now.toISOString() })
    .execute();
  const added: ImageVersion = { ...content, version, createdAt: now };
  await recordChanges(
    tx,
    [{ kind: "image", name: `${image}:${version}`, before: undefined, after: content }],
    author,
    now,
  );
  await setChannel(tx, image, DEFAULT_CHANNEL, version, author, now);
  return added;
}

export async function setChannel(
  tx: Tx,
  image: string,
  channel: string,
  version: number,
  author: Author,
  now: Date,
): Promise<void> {
  await findVersion(tx, image, version);
  const before = await tx
    .selectFrom("image_channels")
    .select("version")
    .where("image", "=", image)
    .where("channel", "=", channel)
    .executeTakeFirst();
  if (before?.version === version) return;
  await tx
    .insertInto("image_channels")
    .values({ image, channel, version })
    .onConflict((conflict) => conflict.columns(["image", "channel"]).doUpdateSet({ version }))
    .execute();
  await recordChanges(
    tx,
    [{ kind: "channel", name: `${image}:${channel}`, before, after: { version } }],
    author,
    now,
  );
}

export async function deleteImage(
  tx: Tx,
  image: string,
  version: number | undefined,
  author: Author,
  now: Date,
): Promise<void> {
  const found = await findImage(tx, image);
  if (version === undefined) {
    await refuseImageInUse(tx, image);
    await tx.deleteFrom("images").where("name", "=", image).execute();
    await recordChanges(tx, [{ kind: "image", name: image, before: found, after: undefined }], author, now);
    return;
  }
  const content = await findVersion(tx, image, version);
  const channels = Object.entries(found.channels).filter(([, pointsAt]) => pointsAt === version);
  if (channels.length > 0) {
    throw new MusterError({
      code: "image-in-use",
      what: `version ${version} of image ${image} is what channel ${channels.map(([name]) => name).join(", ")} points at`,
      fix: "point the channel at another version first, or delete the whole image",
    });
  }
  await tx.deleteFrom("image_versions").where("image", "=", image).where("version", "=", version).execute();
  await recordChanges(
    tx,
    [{ kind: "image", name: `${image}:${version}`, before: content, after: undefined }],
    author,
    now,
  );
}

export async function listReferencedBlobs(tx: Reader): Promise<readonly Digest[]> {
  const versions = (await tx.selectFrom("image_versions").selectAll().execute()).map(versionOfRow);
  const digests = versions.flatMap(({ kernel, modules, layers }) =>
    [kernel, modules, ...layers].map((blob) => blob.digest),
  );
  return [...new Set(digests)];
}

async function findImage(tx: Tx, name: string): Promise<Image> {
  const [image] = await loadImages(tx, name);
  if (image !== undefined) return image;
  const images = await tx.selectFrom("images").select("name").orderBy("name").execute();
  throw unknownImage(
    name,
    images.map((row) => row.name),
  );
}

async function findVersion(tx: Tx, name: string, version: number): Promise<ImageVersion> {
  const image = await findImage(tx, name);
  const found = image.versions.find((candidate) => candidate.version === version);
  if (found !== undefined) return found;
  throw new MusterError({
    code: "image-unknown",
    what: `image ${name} has no version ${version}`,
    fix: `it has: ${image.versions.map((known) => known.version).join(", ")}`,
  });
}

function versionOfRow(row: ImageVersionsTable): ImageVersion {
  const details = JSON.parse(row.details_json) as Omit<ImageVersion, "image" | "version" | "createdAt">;
  return { image: row.image, version: row.version, ...details, createdAt: new Date(row.created_at) };
}

/** Records name it themselves; a node that has it from a profile is not named. */
async function refuseImageInUse(tx: Tx, image: string): Promise<void> {
  const usersIn = async (table: "nodes" | "profiles"): Promise<readonly string[]> =>
    (await tx.selectFrom(table).select("name").where("image", "=", image).execute())
      .map(({ name }) => name)
      .sort(compareNodeNames);
  const nodes = await usersIn("nodes");
  const profiles = await usersIn("profiles");
  const users = [
    ...profiles.map((name) => ({ title: `profile ${name}`, command: `profile set ${name}` })),
    ...(nodes.length === 0 ? [] : [{ title: foldNodeSet(nodes), command: `node set ${foldNodeSet(nodes)}` }]),
  ];
  if (users.length === 0) return;
  throw new MusterError({
    code: "image-in-use",
    what: `image ${image} is the image of ${users.map(({ title }) => title).join(", ")}`,
    fix: `give them another one first: ${users.map(({ command }) => `\`muster ${command} --image NAME\``).join(", ")}`,
  });
}

/** `image-unknown`, with the images there are. */
function unknownImage(image: string, images: readonly string[]): MusterError {
  return new MusterError({
    code: "image-unknown",
    what: `there is no image ${JSON.stringify(image)}`,
    fix:
      images.length === 0
        ? "import one first: `muster image import DIR --name NAME`"
        : `there are: ${images.join(", ")}; \`muster image import\` adds another`,
  });
}
