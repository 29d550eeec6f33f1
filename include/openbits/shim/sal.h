/* openbits shim: annotations of parameters mean nothing here. */
#pragma once
#define _In_
#define _In_opt_
#define _In_z_
#define _Inout_
#define _Inout_opt_
#define _Out_
#define _Out_opt_
#define _Outptr_
#define _Outptr_opt_
#define _COM_Outptr_
#define _Outptr_result_maybenull_
#define _In_reads_(n)
#define _In_reads_bytes_(n)
#define _Out_writes_(n)
#define _Check_return_
#define _Use_decl_annotations_
