// Loaded lazily as a file of ours: of a CommonJS package loaded by import() a bundle keeps only the default export.
export { Agent } from "undici";
