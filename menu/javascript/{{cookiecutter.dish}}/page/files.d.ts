// What the bundler puts beside the page; the first two are the address of the file.
declare module "*.wasm";
declare module "*.onnx";
declare module "*.css";
