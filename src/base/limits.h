/* limits.h - every maximum of Fournil, each with its reason. A value read from outside is checked
 * against one of these before memory or time is spent on it. */
#ifndef FNL_BASE_LIMITS_H
#define FNL_BASE_LIMITS_H

/* --- threads -------------------------------------------------------------------------------- */

/* More workers than any one machine has CPUs; a typing error such as --threads 80000 is refused
 * before it exhausts the kernel's thread table. */
#define FNL_MAX_THREADS 1024

/* --- text ----------------------------------------------------------------------------------- */

/* One formatted message or arena string: far above any real message, and small enough that a
 * hostile name cannot make us build megabytes of text. */
#define FNL_MAX_FORMATTED_BYTES (1u << 20)

/* Spelling suggestions compare at most so many bytes of a name: the matrix is quadratic. */
#define FNL_MAX_NAME_COMPARED 64

/* A number in a configuration: the longest exact decimal a float64 needs is under 800 digits, but
 * nobody writes more than this. */
#define FNL_MAX_NUMBER_BYTES 128

/* --- YAML ----------------------------------------------------------------------------------- */

/* A configuration is written by hand; a pipeline file of a large project is under 1 MiB. */
#define FNL_MAX_YAML_BYTES ((size_t)4 << 20)

/* A real configuration is 5 to 8 levels deep. Bounds the recursion of every reader of the tree. */
#define FNL_MAX_YAML_DEPTH 64

/* Nodes (scalars and collections) of one document: bounds time and memory of "[,,,,]" files. */
#define FNL_MAX_YAML_NODES 200000

/* Bytes of one key. libyaml takes a key on one line only up to 1,024 bytes, and an escaped byte is
 * written as 4, so a key of 200 bytes can always be printed again. */
#define FNL_MAX_YAML_KEY_BYTES 200

/* Memory of one tree: nodes, their arrays and texts; about 40 times the largest file's need for
 * text, and enough for the largest count of nodes. */
#define FNL_MAX_YAML_TREE_BYTES ((size_t)160 << 20)

/* --- files ---------------------------------------------------------------------------------- */

/* Attempts to find a free temporary name before giving up: a name is taken only when a process
 * with the same id died while writing. */
#define FNL_MAX_TEMP_TRIES 64

/* --- graphs --------------------------------------------------------------------------------- */

/* Weights and names of one network: far above what trains on one machine's CPU, and below what
 * would make size arithmetic overflow. */
#define FNL_MAX_GRAPH_BYTES ((size_t)1 << 37)

/* Tensors of one graph: the largest public ONNX models have about 100,000. */
#define FNL_MAX_GRAPH_VALUES 1000000

/* Bytes that a block of rows may touch between two steps of a plan: half of the second-level cache
 * of common processors (512 KiB to 2 MiB), so that what one step writes the next finds there. */
#define FNL_BLOCK_BYTES ((size_t)256 << 10)

/* Parts a batch is split into: more than threads is only useful for --deterministic. */
#define FNL_MAX_SHARDS 256

/* --- layer lists ------------------------------------------------------------------------------ */

/* Layers of one `model:`: the deepest published networks have about 1,000; finding a name is
 * linear. */
#define FNL_MAX_LAYERS 4096

/* residual inside residual...: bounds the recursion of the builder. */
#define FNL_MAX_LAYER_NESTING 8

/* Units of a dense layer, filters of a convolution: far above any real one. */
#define FNL_MAX_UNITS (1 << 24)

/* Kernel, stride, dilation and padding of a window: what shape inference accepts. */
#define FNL_MAX_WINDOW 4096

/* Bytes of a layer's name. */
#define FNL_MAX_LAYER_NAME_BYTES 64

/* --- ONNX files ------------------------------------------------------------------------------- */

/* Protocol buffers end at 2 GiB: larger models keep their weights in files of their own. */
#define FNL_MAX_ONNX_BYTES (((size_t)1 << 31) - 1)

/* Messages inside messages. A model without subgraphs needs 7 (model, graph, node, attribute,
 * tensor, entry, ...); bounds the recursion of the decoder. */
#define FNL_MAX_ONNX_DEPTH 16

/* Messages of one file: an empty one takes 2 bytes in the file and up to 250 in memory. The largest
 * public models have about 1,000,000. */
#define FNL_MAX_ONNX_MESSAGES 2000000

/* Fields of one file, all messages together; packed arrays and raw data count as one. */
#define FNL_MAX_ONNX_FIELDS 16000000

/* Inputs, outputs and metadata entries of a model: each is found by a linear search. */
#define FNL_MAX_ONNX_ENTRIES 1024

/* Attributes of one node: ONNX's operators have at most 15; a bit each. */
#define FNL_MAX_ONNX_ATTRIBUTES 64

/* Tables of names made while a file is read. */
#define FNL_MAX_ONNX_TABLE_BYTES ((size_t)1 << 30)

#endif
