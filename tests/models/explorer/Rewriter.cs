// Makes each step on memory that the code takes a call of the explorer, in a copy of this program's own code:
//
//   ldfld F           ldflda F, site, Load            a place in the runtime's sources stays what it is there
//   stfld F           the same with a local, Store
//   ldsfld, stsfld    Static(offset), ...             statics lie in the model's memory
//   ldind, stind      site, Load or Store
//   Volatile.Read, Interlocked.Exchange, ...          the explorer's of the same name
//   X86Base.IsSupported                               false
//
// What is rewritten: all types but those of the explorer itself. Fields of other sizes than a register's are
// left: nothing of the runtime's shares such.
//
// Rejected: names of our own for Volatile and Interlocked (plain loads and stores are half of what matters),
// a define in the runtime's sources.

using Mono.Cecil;
using Mono.Cecil.Cil;
using Mono.Cecil.Rocks;

namespace Weft.Models;

internal sealed class Rewriter
{
    private const string Own = "Weft.Models";
    private const int LargeStatic = 1024;

    private readonly ModuleDefinition _module;
    private readonly TypeDefinition _explorer;
    private readonly Dictionary<string, int> _statics = [];
    private readonly List<string> _initialized = [];
    private readonly List<(string What, string Where)> _sites = [];
    private int _nextStatic = 64;

    private Rewriter(ModuleDefinition module)
    {
        _module = module;
        _explorer = module.GetType(Own, "Explorer");
    }

    /// <summary>The assembly at the path, rewritten; what each site is; and the types that have
    /// initializers.</summary>
    internal static (byte[] Code, (string, string)[] Sites, string[] Initialized) Rewrite(string path)
    {
        using ModuleDefinition module = ModuleDefinition.ReadModule(
            path, new ReaderParameters { ReadSymbols = true });
        Rewriter rewriter = new(module);
        foreach (TypeDefinition type in module.GetTypes().ToArray())
        {
            TypeDefinition outer = type;
            while (outer.DeclaringType != null)
            {
                outer = outer.DeclaringType;
            }
            if (outer.Namespace is Own or "" && !outer.Name.Contains("PrivateImplementationDetails"))
            {
                continue;
            }
            foreach (MethodDefinition method in type.Methods.Where(method => method.HasBody))
            {
                rewriter.Rewrite(method);
                if (method.IsConstructor && method.IsStatic)
                {
                    rewriter._initialized.Add(type.FullName.Replace('/', '+'));
                }
            }
        }
        using MemoryStream code = new();
        module.Write(code);
        return (code.ToArray(), [.. rewriter._sites], [.. rewriter._initialized]);
    }

    private void Rewrite(MethodDefinition method)
    {
        MethodBody body = method.Body;
        body.SimplifyMacros();
        ILProcessor il = body.GetILProcessor();
        foreach (Instruction instruction in body.Instructions.ToArray())
        {
            switch (instruction.OpCode.Code)
            {
                case Code.Ldfld:
                    Load(method, il, instruction, OpCodes.Ldflda);
                    break;
                case Code.Stfld:
                    Store(method, il, instruction);
                    break;
                case Code.Ldsfld:
                    LoadStatic(method, il, instruction);
                    break;
                case Code.Stsfld:
                    Store(method, il, instruction);
                    break;
                case Code.Ldsflda when IsPlaced((FieldReference)instruction.Operand):
                    Replace(il, instruction, AddressOf((FieldReference)instruction.Operand));
                    break;
                case Code.Call when instruction.Operand is MethodReference called:
                    Call(method, il, instruction, called);
                    break;
                default:
                    Indirect(method, il, instruction);
                    break;
            }
        }
        body.OptimizeMacros();
    }

    private void Load(MethodDefinition method, ILProcessor il, Instruction at, OpCode address)
    {
        FieldReference field = (FieldReference)at.Operand;
        if (IsWord(field.FieldType) && !IsLocalValue(at.Previous))
        {
            at.OpCode = address;
            InsertAfter(il, at, [Number(method, at, "load", field), Explore("Load", field.FieldType)]);
        }
    }

    private void Store(MethodDefinition method, ILProcessor il, Instruction at)
    {
        FieldReference field = (FieldReference)at.Operand;
        bool isStatic = at.OpCode == OpCodes.Stsfld;
        if (isStatic ? !IsPlaced(field) : !IsWord(field.FieldType))
        {
            return;
        }
        VariableDefinition value = new(field.FieldType);
        method.Body.Variables.Add(value);
        method.Body.InitLocals = true;
        Instruction[] address = isStatic ? AddressOf(field) : [Instruction.Create(OpCodes.Ldflda, field)];
        Instruction[] store = IsWord(field.FieldType)
            ? [Number(method, at, "store", field), Explore("Store", field.FieldType)]
            : [Instruction.Create(OpCodes.Stobj, field.FieldType)];
        InsertAfter(il, at, [.. address, Instruction.Create(OpCodes.Ldloc, value), .. store]);
        at.OpCode = OpCodes.Stloc;
        at.Operand = value;
    }

    private void LoadStatic(MethodDefinition method, ILProcessor il, Instruction at)
    {
        FieldReference field = (FieldReference)at.Operand;
        if (!IsPlaced(field))
        {
            return;
        }
        if (!IsWord(field.FieldType))
        {
            Replace(il, at, [.. AddressOf(field), Instruction.Create(OpCodes.Ldobj, field.FieldType)]);
            return;
        }
        Instruction number = Number(method, at, "load", field);
        Replace(il, at, [.. AddressOf(field), number, Explore("Load", field.FieldType)]);
    }

    private void Indirect(MethodDefinition method, ILProcessor il, Instruction at)
    {
        TypeSystem types = _module.TypeSystem;
        (TypeReference? type, bool stores) = at.OpCode.Code switch
        {
            Code.Ldind_I => (types.IntPtr, false),
            Code.Ldind_I1 => (types.SByte, false),
            Code.Ldind_U1 => (types.Byte, false),
            Code.Ldind_I2 => (types.Int16, false),
            Code.Ldind_U2 => (types.UInt16, false),
            Code.Ldind_I4 => (types.Int32, false),
            Code.Ldind_U4 => (types.UInt32, false),
            Code.Ldind_I8 => (types.Int64, false),
            Code.Ldind_Ref => (types.Object, false),
            Code.Stind_I => (types.IntPtr, true),
            Code.Stind_I1 => (types.Byte, true),
            Code.Stind_I2 => (types.Int16, true),
            Code.Stind_I4 => (types.Int32, true),
            Code.Stind_I8 => (types.Int64, true),
            Code.Stind_Ref => (types.Object, true),
            Code.Ldobj when IsWord((TypeReference)at.Operand) => ((TypeReference)at.Operand, false),
            Code.Stobj when IsWord((TypeReference)at.Operand) => ((TypeReference)at.Operand, true),
            _ => ((TypeReference?)null, false),
        };
        if (type == null)
        {
            return;
        }
        Instruction number = Number(method, at, stores ? "store" : "load", FieldBefore(at));
        Replace(il, at, [number, Explore(stores ? "Store" : "Load", type)]);
    }

    private void Call(MethodDefinition method, ILProcessor il, Instruction at, MethodReference called)
    {
        string type = called.DeclaringType.FullName;
        if (called.Name == "get_IsSupported" && called.DeclaringType.Namespace == "System.Runtime.Intrinsics.X86")
        {
            Replace(il, at, [Instruction.Create(OpCodes.Ldc_I4_0)]); // The model's processor is none.
            return;
        }
        if (type is not ("System.Threading.Volatile" or "System.Threading.Interlocked")
            && (called.DeclaringType != _explorer || called.Name != "Look"))
        {
            return;
        }
        string name = called.Name switch
        {
            "Read" => "VolatileRead",
            "Write" => "VolatileWrite",
            "Look" => "LookAt",
            _ => called.Name,
        };
        MethodDefinition target = _explorer.Methods.Single(candidate => candidate.Name == name);
        Instruction number = Number(method, at, name, FirstFieldBefore(at, called.Parameters.Count));
        Replace(il, at, [number, target.HasGenericParameters ? Explore(name, ElementOf(called)) : Instruction.Create(OpCodes.Call, target)]);
    }

    private static TypeReference ElementOf(MethodReference called)
    {
        if (called is GenericInstanceMethod generic)
        {
            return generic.GenericArguments[0];
        }
        TypeReference type = called.Parameters[0].ParameterType;
        while (type is IModifierType modified)
        {
            type = modified.ElementType;
        }
        return ((ByReferenceType)type).ElementType;
    }

    // --- where ---

    private Instruction Number(MethodDefinition method, Instruction at, string kind, FieldReference? field)
    {
        SequencePoint? point = null;
        for (Instruction? i = at; i != null && point is not { IsHidden: false }; i = i.Previous)
        {
            // What was inserted has no offset, and would be taken for the method's first line.
            point = i.Offset == 0 && i.Previous != null ? null : method.DebugInformation.GetSequencePoint(i);
        }
        string where = point == null ? "" : $"{Path.GetFileName(point.Document.Url)}:{point.StartLine}";
        string what = $"{NameOf(method)} {kind} {(field == null ? "?" : $"{field.DeclaringType.Name}.{field.Name}")}";
        _sites.Add((what, where));
        return Instruction.Create(OpCodes.Ldc_I4, _sites.Count - 1);
    }

    private static string NameOf(MethodDefinition method) =>
        $"{method.DeclaringType.Name}.{(method.IsGetter || method.IsSetter ? method.Name[4..] : method.Name)}";

    /// <summary>The field whose address was put there just before.</summary>
    private static FieldReference? FieldBefore(Instruction at)
    {
        for (Instruction? i = at.Previous; i != null; i = i.Previous)
        {
            if (i.OpCode == OpCodes.Ldflda || i.OpCode == OpCodes.Ldsflda)
            {
                return (FieldReference)i.Operand;
            }
            if (i.OpCode.FlowControl is not FlowControl.Next)
            {
                return null;
            }
        }
        return null;
    }

    /// <summary>The same where arguments came after it: the nearest that is no argument's own.</summary>
    private static FieldReference? FirstFieldBefore(Instruction at, int parameters)
    {
        int missing = parameters;
        for (Instruction? i = at.Previous; i != null && missing > 0; i = i.Previous)
        {
            if (i.OpCode.StackBehaviourPush is StackBehaviour.Push0 && i.OpCode.FlowControl == FlowControl.Branch)
            {
                return null;
            }
            if (i.OpCode == OpCodes.Ldflda)
            {
                return (FieldReference)i.Operand;
            }
        }
        return null;
    }

    // --- what ---

    private static bool IsWord(TypeReference type)
    {
        if (type.IsPointer || type.IsFunctionPointer)
        {
            return true;
        }
        if (type.IsPrimitive)
        {
            return true;
        }
        return type is { IsValueType: true, IsGenericInstance: false, IsGenericParameter: false } && type.Module == type.Resolve()?.Module
            && type.Resolve().IsEnum;
    }

    private bool IsPlaced(FieldReference field)
    {
        TypeDefinition? type = field.DeclaringType.Resolve();
        if (type?.Module != _module || type.Name.StartsWith('<') || type.HasGenericParameters)
        {
            return false;
        }
        return IsWord(field.FieldType)
            || (field.FieldType.IsValueType && field.FieldType.Resolve()?.Module == _module && !HasReferences(field.FieldType.Resolve()));
    }

    private static bool HasReferences(TypeDefinition type) => type.Fields.Any(field => !field.IsStatic
        && !field.FieldType.IsValueType && !field.FieldType.IsPointer && !field.FieldType.IsFunctionPointer);

    private static bool IsLocalValue(Instruction? before) =>
        before != null && before.OpCode == OpCodes.Call && before.Operand is MethodReference { ReturnType.IsValueType: true } called
        && !called.ReturnType.IsPrimitive;

    private Instruction[] AddressOf(FieldReference field)
    {
        string name = field.FullName;
        if (!_statics.TryGetValue(name, out int offset))
        {
            offset = _nextStatic;
            _statics.Add(name, offset);
            _nextStatic += IsWord(field.FieldType) ? 8 : LargeStatic;
        }
        return
        [
            Instruction.Create(OpCodes.Ldc_I4, offset),
            Instruction.Create(OpCodes.Call, _explorer.Methods.Single(method => method.Name == "Static")),
        ];
    }

    private Instruction Explore(string name, TypeReference type)
    {
        GenericInstanceMethod method = new(_explorer.Methods.Single(candidate => candidate.Name == name));
        method.GenericArguments.Add(type.IsPointer || type.IsFunctionPointer ? _module.TypeSystem.IntPtr : type);
        return Instruction.Create(OpCodes.Call, method);
    }

    private static void Replace(ILProcessor il, Instruction at, Instruction[] by)
    {
        at.OpCode = by[0].OpCode;
        at.Operand = by[0].Operand;
        InsertAfter(il, at, by[1..]);
    }

    private static void InsertAfter(ILProcessor il, Instruction at, Instruction[] more)
    {
        foreach (Instruction instruction in more)
        {
            il.InsertAfter(at, instruction);
            at = instruction;
        }
    }
}
