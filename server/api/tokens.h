/* The field tables of POST /tokenize and POST /detokenize (handlers: api.h). */
#ifndef SEEKD_API_TOKENS_H
#define SEEKD_API_TOKENS_H

#include "api/schema.h"

extern const struct schema TOKENIZE_SCHEMA, DETOKENIZE_SCHEMA;

#endif
